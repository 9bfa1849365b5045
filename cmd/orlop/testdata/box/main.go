// Box is the only program of the test's image, under the name of each that it needs.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "sleep":
		time.Sleep(time.Minute)
	case "id":
		fmt.Println("uid=0(root)")
	case "dial":
		for _, name := range os.Args[1:] {
			if c, err := net.Dial("unix", name); err == nil {
				c.Close()
			}
		}
	case "cat":
		for _, name := range os.Args[1:] {
			b, _ := os.ReadFile(name)
			os.Stdout.Write(b)
		}
	default:
		if os.Getenv("BOX_WAIT") != "" { // until it has been looked at
			io.Copy(io.Discard, os.Stdin)
		}
	}
}
