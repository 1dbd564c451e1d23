{{ landing_file() }}
