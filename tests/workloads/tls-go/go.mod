module inventory-tls

go 1.19
