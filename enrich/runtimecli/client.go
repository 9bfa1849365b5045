package runtimecli

import (
	"encoding/json"
	urls "net/url"
	paths "path"
	"strings"
)

// A request is what a general client's line says of the call that it makes.
type request struct {
	address, url, tcp, method string
	parts                     []string // of the body, which sep joins
	sep                       string
	query                     bool // the data goes to the URL
	files                     []string
	open                      bool // not all of it is on the line
	calls                     int  // URLs that are asked for
	stdin                     string
	fed                       bool
}

// take notes the socket that is talked to.
func (r *request) take(s, cwd string) {
	if r.address == "" {
		if runtime, _ := Socket(s, cwd); runtime != "" {
			r.address = s
		}
	}
}

// data takes a part of the body: itself, or @FILE.
func (r *request) data(s string, raw bool) {
	if at, ok := strings.CutPrefix(s, "@"); ok && !raw {
		r.file(at)
		return
	}
	r.parts = append(r.parts, s)
}

// file takes a part of the body that is in a file, or is read.
func (r *request) file(name string) {
	switch {
	case name != "-" && !standardInput(name):
		r.open = true
		r.files = append(r.files, name)
	case r.fed:
		r.parts = append(r.parts, r.stdin)
	default:
		r.open = true
	}
}

// location takes a word that is no flag.
func (r *request) location(a, cwd string) {
	if dockerURL(a) {
		r.tcp = a
	}
	switch {
	case strings.HasPrefix(a, "http+unix://"), strings.HasPrefix(a, "unix://"):
		r.take(a, cwd)
		r.asks(a)
	case strings.Contains(a, "://") || strings.Contains(a, "/") && r.url == "":
		r.asks(a)
	default:
		r.calls++ // curl takes any word for a URL
	}
}

// asks takes a URL that is asked for.
func (r *request) asks(url string) {
	r.calls++
	r.url = url
}

// The flags of curl that take a value: one letter each, and those long ones whose
// value could be taken for a URL.
const curlShort = "AbCcDdEeFHKmoPQrTtUuwXxYyz"

var curlLong = map[string]bool{
	"header": true, "output": true, "output-dir": true, "user": true, "user-agent": true, "referer": true, "cookie": true, "cookie-jar": true, "write-out": true,
	"cacert": true, "capath": true, "cert": true, "key": true, "proxy": true, "resolve": true, "connect-to": true, "form": true, "form-string": true,
	"trace": true, "trace-ascii": true, "dump-header": true, "stderr": true,
	"max-time": true, "connect-timeout": true, "retry": true, "retry-delay": true, "retry-max-time": true, "max-redirs": true, "max-filesize": true, "limit-rate": true,
	"interface": true, "noproxy": true, "speed-limit": true, "speed-time": true,
}

// curl takes a line of curl's. A cluster of short flags ends with one that has a value.
func (r *request) curl(args []string, cwd string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := func() string {
			if i+1 < len(args) {
				i++
				return args[i]
			}
			return ""
		}
		if name, ok := strings.CutPrefix(a, "--"); ok {
			name, given, eq := strings.Cut(name, "=")
			if eq { // which curl refuses, and others of its kind take
				value = func() string { return given }
			}
			switch name {
			case "unix-socket":
				r.take(value(), cwd)
			case "abstract-unix-socket":
				r.take("@"+value(), cwd)
			case "request":
				r.method = value()
			case "url":
				r.location(value(), cwd)
			case "request-target": // the path, whatever the URL says
				r.asks("http://d/" + strings.TrimPrefix(value(), "/"))
			case "path-as-is":
				r.calls++
			case "get":
				r.query = true
			case "data", "data-ascii", "data-binary":
				r.sep = "&"
				r.data(value(), false)
			case "data-raw":
				r.sep = "&"
				r.data(value(), true)
			case "data-urlencode":
				r.open = true
				r.parts = append(r.parts, "&")
				value()
			case "json":
				r.data(value(), false)
			case "upload-file":
				r.file(value())
			case "config":
				r.open = true
				r.files = append(r.files, value())
			default:
				if curlLong[name] {
					value()
				}
			}
			continue
		}
		if len(a) < 2 || a[0] != '-' {
			r.location(a, cwd)
			continue
		}
		for j := 1; j < len(a); j++ {
			if a[j] == 'G' {
				r.query = true
			}
			if strings.IndexByte(curlShort, a[j]) < 0 {
				continue
			}
			v := a[j+1:]
			if v == "" {
				v = value()
			}
			switch a[j] {
			case 'd':
				r.sep = "&"
				r.data(v, false)
			case 'X':
				r.method = v
			case 'T':
				r.file(v)
			case 'K':
				r.open = true
				r.files = append(r.files, v)
			}
			break
		}
	}
}

// wget takes a line of wget's.
func (r *request) wget(args []string, cwd string) {
	for i := 0; i < len(args); i++ {
		name, value, eq := strings.Cut(args[i], "=")
		if !strings.HasPrefix(name, "-") {
			r.location(args[i], cwd)
			continue
		}
		switch name {
		case "--post-data", "--body-data", "--post-file", "--body-file", "--method", "--header":
			if !eq && i+1 < len(args) {
				i++
				value = args[i]
			}
		}
		switch name {
		case "--post-data", "--body-data":
			r.data(value, true)
		case "--post-file", "--body-file":
			r.file(value)
		case "--method":
			r.method = value
		}
	}
}

// httpie takes a line of HTTPie's or xh's: [METHOD] URL [ITEM…], of whose items
// KEY=TEXT and KEY:=JSON are fields of the body.
func (r *request) httpie(args []string, cwd string) {
	var fields []string
	words := 0
	for i := 0; i < len(args); i++ {
		a := args[i]
		if strings.HasPrefix(a, "-") {
			name, value, eq := strings.Cut(a, "=")
			switch name {
			case "--unix-socket", "--raw":
				if !eq && i+1 < len(args) {
					i++
					value = args[i]
				}
				if name == "--raw" {
					r.data(value, true)
				} else {
					r.take(value, cwd)
				}
			}
			continue
		}
		words++
		switch {
		case words == 1 && a != "" && strings.Trim(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "":
			r.method, words = a, 0
		case words == 1:
			r.location(a, cwd)
		case strings.HasPrefix(a, "@"):
			r.data(a, false)
		default:
			key, value, ok := strings.Cut(a, "=")
			if !ok {
				continue
			}
			raw := strings.HasSuffix(key, ":")
			if key = strings.TrimSuffix(key, ":"); !raw {
				value = quoted(value)
			}
			if strings.HasPrefix(value, "@") {
				r.file(value[1:])
				continue
			}
			outer, inner, nested := strings.Cut(strings.TrimSuffix(key, "]"), "[") // HostConfig[Privileged]:=true
			if nested && inner == "" {
				value = "[" + value + "]"
			} else if nested {
				value = "{" + quoted(inner) + ":" + value + "}"
			}
			fields = append(fields, quoted(outer)+":"+value)
		}
	}
	if len(fields) > 0 {
		r.parts = append(r.parts, "{"+strings.Join(fields, ",")+"}")
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// written takes a request that is written to a client's standard input in full.
func (r *request) written(s string) {
	method, rest, ok := strings.Cut(strings.TrimLeft(s, " \r\n"), " ")
	path, rest, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !strings.HasPrefix(path, "/") || !strings.HasPrefix(rest, "HTTP/") {
		return
	}
	r.method, r.url = method, "unix://"+path
	r.calls = strings.Count(s, " HTTP/")
	if i := strings.IndexByte(rest, '{'); i >= 0 {
		r.parts = append(r.parts, rest[i:])
	}
}

// client recognises a general client on a runtime's socket: curl --unix-socket,
// socat UNIX-CONNECT:, nc -U, grpcurl -unix, http+unix://, or on Docker's TCP port.
// What it is fed is stdin, if that is known.
func client(c *Command, by, stdin string, fed bool) (Call, bool) {
	if len(c.Args) < 2 {
		return Call{}, false
	}
	name := plain(base(c.Executable))
	if by == "argv0" || classify(name) != kindClient {
		name = plain(base(c.Args[0]))
	}
	args := c.Args[1:min(len(c.Args), maxArgs)]
	r := request{stdin: stdin, fed: fed}
	switch name {
	case "curl":
		r.curl(args, c.Cwd)
	case "wget":
		r.wget(args, c.Cwd)
	case "http", "https", "xh", "xhs":
		r.httpie(args, c.Cwd)
	case "socat":
		for _, a := range args {
			kind, rest, ok := strings.Cut(a, ":")
			if ok && len(kind) <= 20 {
				switch strings.ToUpper(kind) {
				case "UNIX", "UNIX-CONNECT", "UNIX-CLIENT", "GOPEN", "ABSTRACT-CONNECT", "ABSTRACT-CLIENT", "ABSTRACT", "UNIX-SENDTO":
					rest, _, _ = strings.Cut(rest, ",")
					if strings.HasPrefix(strings.ToUpper(kind), "ABSTRACT") {
						rest = "@" + rest
					}
					r.take(rest, c.Cwd)
				}
			}
			// The short form is the path alone.
			if strings.HasPrefix(a, "/") {
				r.take(a, c.Cwd)
			}
		}
		r.written(stdin)
	case "go", "openssl":
		// Most of what these do is none of ours.
		if sub := args[0]; sub == "run" || sub == "s_client" {
			for _, a := range args {
				r.take(a, c.Cwd)
			}
		}
		r.written(stdin)
	default: // nc, ncat, grpcurl, websocat
		for _, a := range args {
			r.take(a, c.Cwd)
			for _, scheme := range [...]string{"local:", "unix-connect:", "ws-c:unix:"} {
				if at, ok := strings.CutPrefix(a, scheme); ok {
					at, _, _ = strings.Cut(at, ":") // what is asked for there
					r.take(at, c.Cwd)
				}
			}
		}
		r.written(stdin)
	}
	if parts, _ := apiPath(r.tcp); r.address == "" && len(parts) > 0 {
		switch parts[0] {
		case "containers", "exec", "images", "build", "commit", "volumes", "pods": // who else listens there has a version too
			r.address, r.url = "tcp://"+hostOf(r.tcp), r.tcp
		}
	}
	if r.address == "" {
		return Call{}, false
	}
	return r.call(name, by), true
}

// call is what the request asks for.
func (r *request) call(name, by string) Call {
	if r.method == "" && (len(r.parts) > 0 || len(r.files) > 0 || r.open) && !r.query {
		r.method = "POST"
	}
	p := parser{call: Call{Tool: name, IdentifiedBy: by, Command: name, Behaviours: []string{"socket-client"}, Address: strings.TrimPrefix(r.address, "unix://"), Files: r.files}}
	call := &p.call
	if r.open {
		p.partial()
	}
	class := apiCall(r.method, r.url)
	parts, libpod := apiPath(r.url)
	if class != "" {
		call.Behaviours = append(call.Behaviours, class)
		if class == "read" && (r.calls != 1 || r.open || strings.ContainsAny(r.url, "{[") || !lists(parts)) {
			call.Behaviours = append(call.Behaviours, containerRead)
		}
	}
	if len(parts) > 1 {
		switch {
		case parts[1] == "prune":
			call.Scope = Unused
		case parts[1] == "create" && parts[0] == "containers":
			call.Container = queryOf(r.url, "name")
		case parts[0] == "containers" && parts[1] != "json":
			call.Container = parts[1]
		case parts[0] == "pods" && parts[1] != "create" && parts[1] != "json" && parts[1] != "stats":
			call.Pod = parts[1]
		}
	}
	if len(r.parts) > 0 && !r.query {
		p.body(class, libpod, strings.Join(r.parts, r.sep))
	}
	if p.hostMount {
		call.Behaviours = append(call.Behaviours, "host-mount")
	}
	return p.call
}

// containerRead is the further behaviour of a general client that reads more than what
// there is.
const containerRead = "container-read"

// lists reports whether what a path of the API reads is what there is, and not what is in
// a container: its configuration, its output or its processes.
func lists(parts []string) bool {
	switch parts[0] {
	case "containers", "pods":
		return len(parts) == 2 && (parts[1] == "json" || parts[1] == "stats" || parts[1] == "showmounted")
	case "exec":
		return false
	}
	return true
}

// queryOf returns a parameter of a URL.
func queryOf(address, name string) string {
	_, query, _ := strings.Cut(address, "?")
	values, _ := urls.ParseQuery(query[:min(len(query), maxValue)])
	return values.Get(name)
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

// apiPath returns the elements of a URL's path, without the version of Docker's API, and
// whether they are of Podman's own.
func apiPath(url string) (parts []string, libpod bool) {
	if i := strings.Index(url, "://"); i >= 0 {
		url = url[i+3:]
	}
	_, path, _ := strings.Cut(url, "/")
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	if strings.IndexByte(path, '%') >= 0 {
		if p, err := urls.PathUnescape(path); err == nil {
			path = p // as the server reads it
		}
	}
	if strings.Contains(path, "/.") || strings.Contains(path, "//") || strings.HasPrefix(path, ".") {
		path = paths.Clean("/" + path) // as the client or the server does
	}
	parts = strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > 16 {
		return nil, false
	}
	if len(parts) > 0 && len(parts[0]) > 1 && parts[0][0] == 'v' && parts[0][1] >= '0' && parts[0][1] <= '9' { // v1.41
		parts = parts[1:]
	}
	if len(parts) > 0 && parts[0] == "libpod" {
		return parts[1:], true
	}
	return parts, false
}

// apiCall gives a call of Docker's HTTP API, which Podman speaks too, the class of
// the command that makes it.
func apiCall(method, url string) string {
	parts, _ := apiPath(url)
	if len(parts) == 0 {
		return ""
	}
	last := parts[len(parts)-1]
	get := method == "" || strings.EqualFold(method, "GET") || strings.EqualFold(method, "HEAD")
	post := strings.EqualFold(method, "POST")
	del := strings.EqualFold(method, "DELETE")
	switch parts[0] {
	case "containers":
		switch {
		case last == "create":
			return "container-create"
		case last == "start":
			return "container-start"
		case last == "restart":
			return "container-restart"
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
	case "exec":
		if post {
			return "container-exec"
		}
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
	case "pods":
		switch {
		case last == "create":
			return "pod-create"
		case last == "stop" || last == "kill":
			return "pod-stop"
		case del, post && last == "prune":
			return "pod-delete"
		}
	case "volumes":
		if last == "create" && post {
			return "volume"
		}
	case "build":
		return "image-build"
	case "commit":
		return "image-commit"
	case "info", "version", "_ping", "events", "networks", "system":
	default:
		return ""
	}
	if get {
		return "read"
	}
	return ""
}
