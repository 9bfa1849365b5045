//go:build !linux

package procfs

import "os"

// HostName is what the host calls itself.
func HostName() string {
	name, _ := os.Hostname()
	return name
}
