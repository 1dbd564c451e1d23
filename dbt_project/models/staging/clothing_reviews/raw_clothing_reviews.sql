{{ landing_source() }}
