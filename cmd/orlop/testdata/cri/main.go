// Cri does what a kubelet does to containerd: it makes pods with a container, runs a
// probe in it, and takes them away again, through the CRI (k8s.io/cri-api, runtime.v1),
// of which it speaks as much as that needs.
//
//	cri SOCKET PODS         makes and removes that many pods, one after the other
//	cri SOCKET keep SCRIPT  makes one, runs the script on the node, with the container in
//	                        $CONTAINER, and removes it
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
)

// A message is a protocol buffer.
type message []byte

func (m message) text(field int, s string) message {
	m = binary.AppendUvarint(m, uint64(field)<<3|2)
	m = binary.AppendUvarint(m, uint64(len(s)))
	return append(m, s...)
}

func (m message) number(field int, n uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), n)
}

func (m message) of(field int, sub message) message { return m.text(field, string(sub)) }

// first returns field 1, a text.
func (m message) first() string {
	if len(m) < 2 || m[0] != 1<<3|2 {
		return ""
	}
	n, k := binary.Uvarint(m[1:])
	return string(m[1+k : 1+k+int(n)])
}

type client struct{ http.Client }

func (c *client) call(method string, m message) message {
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
	req, err := http.NewRequest("POST", "http://cri/runtime.v1.RuntimeService/"+method, bytes.NewReader(body))
	check(err)
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	resp, err := c.Do(req)
	check(err)
	b, err := io.ReadAll(resp.Body)
	check(err)
	status := resp.Trailer.Get("Grpc-Status") + resp.Header.Get("Grpc-Status")
	if status != "0" || len(b) < 5 {
		check(fmt.Errorf("%s: status %q: %s%s", method, status, resp.Trailer.Get("Grpc-Message"), resp.Header.Get("Grpc-Message")))
	}
	return b[5:]
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
}

func main() {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	c := &client{http.Client{Transport: &http.Transport{
		Protocols:   &protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", os.Args[1]) },
	}}}
	if os.Args[2] == "keep" {
		c.pod(0, func(container string) {
			cmd := exec.Command("/bin/sh", "-e", os.Args[3])
			cmd.Env = append(os.Environ(), "CONTAINER="+container)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			check(cmd.Run())
		})
		return
	}
	n, err := strconv.Atoi(os.Args[2])
	check(err)
	for i := range n {
		c.pod(i, func(string) {})
	}
}

// pod makes a pod, calls f, and removes the pod.
func (c *client) pod(i int, f func(container string)) {
	uid := fmt.Sprintf("6c9a3d2e-1f40-4b7a-9a52-%012d", i)
	node := message(nil).number(1, 2) // NamespaceOption: the node's network
	config := message(nil).
		of(1, message(nil).text(1, fmt.Sprint("web-", i)).text(2, uid).text(3, "shop")).
		text(3, os.TempDir()).
		of(8, message(nil).text(1, "/kubepods/besteffort/pod"+uid).of(2, message(nil).of(1, node)))
	pod := c.call("RunPodSandbox", message(nil).of(1, config)).first()
	container := c.call("CreateContainer", message(nil).text(1, pod).of(2, message(nil).
		of(1, message(nil).text(1, "app")).
		of(2, message(nil).text(1, "localhost/box:1")).
		text(3, "/bin/sleep").
		of(15, message(nil).of(2, message(nil).of(3, node)))).
		of(3, config)).first()
	c.call("StartContainer", message(nil).text(1, container))
	for range 3 {
		c.call("ExecSync", message(nil).text(1, container).text(2, "/bin/id").number(3, 10))
	}
	f(container)
	c.call("StopContainer", message(nil).text(1, container))
	c.call("RemoveContainer", message(nil).text(1, container))
	c.call("StopPodSandbox", message(nil).text(1, pod))
	c.call("RemovePodSandbox", message(nil).text(1, pod))
}
