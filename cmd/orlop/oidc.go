package main

import (
	"os"

	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/internal/config"
)

// loadOIDC reads how people sign in at a provider, and what that names; nil for "".
func loadOIDC(name string) (*console.OIDC, error) {
	if name == "" {
		return nil, nil
	}
	text, err := config.ReadFile(name)
	if err != nil {
		return nil, configured(err)
	}
	o := console.NewOIDC()
	if err := config.Read(name, text, config.World{Env: os.LookupEnv}, o); err != nil {
		return nil, &failure{exitUsage, err}
	}
	if err := o.Ready(); err != nil {
		return nil, configured(err)
	}
	return o, nil
}
