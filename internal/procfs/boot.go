package procfs

import (
	"os"
	"strings"
)

// BootID reads what the kernel drew at boot, by which one boot is told from another.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}
