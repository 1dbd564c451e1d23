{{ landing_files() }}
