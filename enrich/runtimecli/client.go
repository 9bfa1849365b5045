package runtimecli

import "strings"

// client recognises a general client on a runtime's socket: curl --unix-socket,
// socat UNIX-CONNECT:, nc -U, grpcurl -unix, http+unix://, or on Docker's TCP port.
func client(c *Command, by string) (Call, bool) {
	if len(c.Args) < 2 {
		return Call{}, false
	}
	name := plain(base(c.Executable))
	if by == "argv0" || classify(name) != kindClient {
		name = plain(base(c.Args[0]))
	}
	args := c.Args[1:min(len(c.Args), maxArgs)]
	address, url, method, tcp := "", "", "", ""
	take := func(s string) {
		if address == "" {
			if runtime, _ := Socket(s, c.Cwd); runtime != "" {
				address = s
			}
		}
	}
	for i, a := range args {
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		switch name {
		case "curl", "http", "https", "xh", "xhs", "wget":
			if dockerURL(a) {
				tcp = a
			}
			switch {
			case a == "--unix-socket":
				take(next)
			case strings.HasPrefix(a, "--unix-socket="):
				take(a[len("--unix-socket="):])
			case a == "--abstract-unix-socket":
				take("@" + next)
			case a == "-X" || a == "--request":
				method = next
			case strings.HasPrefix(a, "-X") && len(a) > 2:
				method = a[2:]
			case strings.HasPrefix(a, "--request="):
				method = a[len("--request="):]
			case strings.HasPrefix(a, "--method="):
				method = a[len("--method="):]
			case strings.HasPrefix(a, "-d") || strings.HasPrefix(a, "--data") || strings.HasPrefix(a, "--post-") || a == "--json":
				if method == "" {
					method = "POST"
				}
			case strings.HasPrefix(a, "http+unix://"), strings.HasPrefix(a, "unix://"):
				take(a)
				url = a
			case strings.Contains(a, "://") || !strings.HasPrefix(a, "-") && strings.Contains(a, "/") && url == "":
				url = a
			}
		case "socat":
			kind, rest, ok := strings.Cut(a, ":")
			if ok && len(kind) <= 20 {
				switch strings.ToUpper(kind) {
				case "UNIX", "UNIX-CONNECT", "UNIX-CLIENT", "GOPEN", "ABSTRACT-CONNECT", "ABSTRACT-CLIENT", "ABSTRACT", "UNIX-SENDTO":
					rest, _, _ = strings.Cut(rest, ",")
					if strings.HasPrefix(strings.ToUpper(kind), "ABSTRACT") {
						rest = "@" + rest
					}
					take(rest)
				}
			}
			// The short form is the path alone.
			if strings.HasPrefix(a, "/") {
				take(a)
			}
		case "go", "openssl":
			// Most of what these do is none of ours.
			if sub := args[0]; sub == "run" || sub == "s_client" {
				take(a)
			}
		default: // nc, ncat, grpcurl, websocat
			take(a)
			for _, scheme := range [...]string{"local:", "unix-connect:", "ws-c:unix:"} {
				if at, ok := strings.CutPrefix(a, scheme); ok {
					at, _, _ = strings.Cut(at, ":") // what is asked for there
					take(at)
				}
			}
		}
	}
	if parts := apiPath(tcp); address == "" && len(parts) > 0 {
		switch parts[0] {
		case "containers", "exec", "images", "build", "commit": // who else listens there has a version too
			address, url = "tcp://"+hostOf(tcp), tcp
		}
	}
	if address == "" {
		return Call{}, false
	}
	call := Call{Tool: name, IdentifiedBy: by, Command: name, Behaviours: []string{"socket-client"}, Address: strings.TrimPrefix(address, "unix://")}
	if class := apiCall(method, url); class != "" {
		call.Behaviours = append(call.Behaviours, class)
	}
	if parts := apiPath(url); len(parts) > 1 {
		switch {
		case parts[1] == "prune":
			call.Scope = Unused
		case parts[0] == "containers" && parts[1] != "create" && parts[1] != "json":
			call.Container = parts[1]
		}
	}
	return call, true
}

// dockerURL reports whether a is a URL on one of Docker's TCP ports: 2375, or 2376 with TLS.
func dockerURL(a string) bool {
	host := hostOf(a)
	return (strings.HasSuffix(host, ":2375") || strings.HasSuffix(host, ":2376")) && !strings.ContainsAny(host, " \t\n'\"{")
}

// hostOf returns the host and port of a URL, whose scheme curl does without.
func hostOf(url string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://"), "/")
	return host[strings.LastIndexByte(host, '@')+1:]
}

// apiPath returns the elements of a URL's path, without the version of Docker's API.
func apiPath(url string) []string {
	if i := strings.Index(url, "://"); i >= 0 {
		url = url[i+3:]
	}
	_, path, _ := strings.Cut(url, "/")
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > 16 {
		return nil
	}
	if len(parts) > 0 && len(parts[0]) > 1 && parts[0][0] == 'v' && parts[0][1] >= '0' && parts[0][1] <= '9' { // v1.41
		parts = parts[1:]
	}
	if len(parts) > 0 && parts[0] == "libpod" {
		parts = parts[1:]
	}
	return parts
}

// apiCall gives a call of Docker's HTTP API, which Podman speaks too, the class of
// the command that makes it.
func apiCall(method, url string) string {
	parts := apiPath(url)
	if len(parts) == 0 {
		return ""
	}
	last := parts[len(parts)-1]
	post := strings.EqualFold(method, "POST")
	del := strings.EqualFold(method, "DELETE")
	switch parts[0] {
	case "containers":
		switch {
		case last == "create":
			return "container-create"
		case last == "start" || last == "restart":
			return "container-start"
		case last == "exec":
			return "container-exec"
		case last == "attach" || len(parts) > 2 && parts[2] == "attach":
			return "attach"
		case last == "archive":
			return "copy"
		case last == "export":
			return "container-export"
		case last == "kill":
			return "task-kill"
		case last == "stop":
			return "container-stop"
		case del, post && last == "prune":
			return "container-delete"
		}
		return "read"
	case "exec":
		if post {
			return "container-exec"
		}
		return "read"
	case "images":
		switch {
		case last == "create":
			return "image-pull"
		case last == "load":
			return "image-import"
		case last == "push":
			return "image-push"
		case last == "get":
			return "image-export"
		case del, post && last == "prune":
			return "image-delete"
		}
		return "read"
	case "build":
		return "image-build"
	case "commit":
		return "image-commit"
	case "info", "version", "_ping", "events", "networks", "volumes", "system":
		if !post && !del {
			return "read"
		}
	}
	return ""
}
