module github.com/orlop/orlop

go 1.26
