"""Ridge regression on the SOAP power spectrum of featomic, trained as a program of its own and exported as a metatomic model."""
