{{ landing_files(customers=ref('raw_customers'), contacts=ref('raw_contacts')) }}
