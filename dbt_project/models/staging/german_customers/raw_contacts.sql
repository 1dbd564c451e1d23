{{ landing_files(customers=ref('raw_customers')) }}
