module process

go 1.19
