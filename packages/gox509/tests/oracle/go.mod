module trustplane.dev/oracle

go 1.26
