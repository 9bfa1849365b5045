// Package examples has the recordings that orlop demo shows.
package examples

import _ "embed"

// NodeSession is node-session/audit.log: what auditd wrote while somebody worked on a node.
//
//go:embed node-session/audit.log
var NodeSession []byte
