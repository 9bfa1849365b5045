//go:build !unix

package own

const unfollowed = 0
