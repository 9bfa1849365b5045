package config_test

import (
	"testing"

	"github.com/orlop/orlop/internal/config"
)

// Of a URL remains what it is recognised by, and nothing that may be a secret.
func TestARedactedURLHasNoSecret(t *testing.T) {
	f := func(url, want string) {
		t.Helper()
		if got := config.Redacted(url); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
	f("https://siem.example", "https://siem.example")
	f("https://siem.example/", "https://siem.example/")
	f("https://siem.example:8443/alerts", "https://siem.example:8443/alerts")
	f("https://siem.example/alerts/", "https://siem.example/alerts/")
	f("https://hooks.slack.com/services/T0/B0/S3CRET", "https://hooks.slack.com/services/(hidden)")
	f("https://api.telegram.org/bot12:S3CRET/sendMessage", "https://api.telegram.org/(hidden)")
	f("https://hooks.example/S3CRET", "https://hooks.example/(hidden)")
	f("https://[::1]:9/v2/enqueue?token=S3CRET&x=&y=1", "https://[::1]:9/v2/(hidden)?token=(hidden)&x=&y=(hidden)")
	f("https://siem.example?S3CRET", "https://siem.example?(hidden)")
	f("https://siem.example/in?a=/?b&S3=CRET==&", "https://siem.example/in?a=(hidden)&S3=(hidden)&")
	f("https://siem.example/in?S3:CRET=1#S3CRET", "https://siem.example/in?(hidden)#(hidden)")
	f("https://ann:s3cr@t@siem.example/in", "https://(hidden)@siem.example/in")
	f("https://T0KEN@siem.example#S3CRET", "https://(hidden)@siem.example#(hidden)")
	f("/var/lib/a?b", "/var/lib/a?b")
	f("://", "://")
}
