// Package procfs is what /proc says: what this host is called, who its users are,
// and what its processes are. It writes them as ECS documents, so that sources which
// the kernel tells less than they want to know can fill in the rest.
//
//	host, err := procfs.NewHost()
//	for _, p := range procfs.Processes() {
//		doc = host.Document(doc[:0], procfs.Event{Action: "existing_process", …}, p)
//	}
package procfs
