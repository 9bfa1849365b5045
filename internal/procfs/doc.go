// Package procfs is what /proc says: what this host is called, who its users are,
// and what its processes are. It writes them as ECS documents, so that sources which
// the kernel tells less than they want to know can fill in the rest.
//
//	host, err := procfs.NewHost("")
//	there, err := procfs.Processes()
//	for _, p := range there.Processes {
//		doc = host.Document(doc[:0], procfs.Event{Action: "existing_process", …}, p)
//	}
package procfs
