package runtimecli

import "strings"

// reference writes the name of an image in full, as the clients complete it: nginx is
// docker.io/library/nginx:latest. Of a reference with tag and digest the digest decides
// (github.com/distribution/reference, ParseDockerRef). What is no reference (an id, a
// path, a variable, a name that ends in one) stays as it is.
func reference(s string) string {
	name, digest, hasDigest := strings.Cut(s, "@")
	if hexID(s, 12) || hexID(s, 64) || strings.HasPrefix(s, "sha256:") || len(s) > 512 || hasDigest && !isDigest(digest) {
		return s
	}
	for _, scheme := range [...]string{"docker://", "docker-daemon:", "containers-storage:"} {
		name = strings.TrimPrefix(name, scheme) // as podman and buildah take them
	}
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		if name, tag = name[:i], name[i+1:]; !isTag(tag) {
			return s
		}
	}
	domain, path, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(domain, ".:") && domain != "localhost" && strings.ToLower(domain) == domain {
		domain, path = "docker.io", name
	}
	if domain == "index.docker.io" {
		domain = "docker.io"
	}
	if !isDomain(domain) || !isPath(path) {
		return s
	}
	if domain == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	switch {
	case hasDigest:
		return domain + "/" + path + "@" + digest
	case tag == "":
		tag = "latest"
	}
	if len(s) == len(domain)+len(path)+len(tag)+2 && strings.HasPrefix(s, domain) {
		return s // Fast path: it was whole.
	}
	return domain + "/" + path + ":" + tag
}

// isDigest reports whether s is ALGORITHM:HEX.
func isDigest(s string) bool {
	algorithm, hex, ok := strings.Cut(s, ":")
	return ok && algorithm != "" && len(hex) >= 32 && strings.Trim(hex, "0123456789abcdefABCDEF") == "" && all(algorithm, func(c byte) bool {
		return alphanumeric(c) || c == '+' || c == '.' || c == '-' || c == '_'
	})
}

func isTag(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '.' && s[0] != '-' && all(s, func(c byte) bool { return alphanumeric(c) || c == '_' || c == '.' || c == '-' })
}

// isDomain reports whether s is HOST[:PORT].
func isDomain(s string) bool {
	host, port, hasPort := s, "", false
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port, hasPort = s[:i], s[i+1:], true
	}
	if hasPort && !digits(port) || host == "" {
		return false
	}
	if host[0] == '[' {
		return host[len(host)-1] == ']' // IPv6
	}
	return host[0] != '-' && host[0] != '.' && all(host, func(c byte) bool { return alphanumeric(c) || c == '.' || c == '-' })
}

// isPath reports whether s is made of lower case names with separators between.
func isPath(s string) bool {
	for e := range strings.SplitSeq(s, "/") {
		if e == "" || !lower(e[0]) || !lower(e[len(e)-1]) || !all(e, func(c byte) bool { return lower(c) || c == '.' || c == '_' || c == '-' }) {
			return false
		}
	}
	return true
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}
