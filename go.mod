module github.com/orlop/orlop

go 1.26

require (
	github.com/klauspost/compress v1.18.6
	github.com/pelletier/go-toml/v2 v2.4.3
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/valyala/fastjson v1.6.10 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
