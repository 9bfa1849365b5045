// Package netlink reads what the kernel tells on a netlink socket, in batches, and
// nothing of what others send there.
package netlink
