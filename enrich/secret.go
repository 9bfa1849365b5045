package enrich

import (
	slash "path"
	"slices"
	"strings"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// secretFields are what a command line says of a pod's secrets that it reads.
type secretFields struct {
	kind, path, pod, view, again event.Field
}

func newSecretFields(s *event.Schema) secretFields {
	f := func(name string) event.Field { return s.Field("orlop.secret." + name) }
	return secretFields{kind: f("kind"), path: f("path"), pod: f("pod_uid"), view: f("view"), again: f("again")}
}

// A secret is what a path leads to.
type secret struct {
	kind string // token, secret, volumes, credential, projected
	path string
	pod  string // its uid
	view string // node: a folder of the kubelet's; root: the files of another mount namespace or container; own; entered
	tree bool   // a folder that holds some further down
}

// rank orders kinds by what they are worth.
func (s *secret) rank() int {
	rank := slices.Index([]string{"", "projected", "credential", "volumes", "secret", "token"}, s.kind)
	if s.view == "own" {
		rank -= 10
	}
	return rank
}

// reads fills what a process that is being started reads of the secrets of pods, as far as
// its command line says: the words, those of a shell's commands and redirections, and the
// paths in the code that an interpreter is given. Paths of the process's own container
// count where it was put there from outside.
func (x *Enricher) reads(s *sight, c, p *proc) {
	if s.kind&execed == 0 || s.kind&ended != 0 {
		return
	}
	e, f := s.e, &x.yf
	args, _ := x.argsOf(s)
	cwd := first(e.Get(x.rf.cwd)).Str()
	if !mayRead(args, cwd) { // Fast path: nearly all.
		return
	}
	x.args = texts(x.args[:0], args)
	var found secret
	look := lookup{cwd: cwd, found: func(one secret) {
		if found.kind == "" || one.rank() > found.rank() {
			found = one
		}
	}}
	exe := s.exe
	if ex := base(exe); ex == "busybox" || ex == "toybox" || ex == "coreutils" || exe == "" {
		exe = "" // argv says which
	}
	look.command(exe, x.args, 0)
	if s.call != nil {
		look.entered(s.call, x.args)
	}
	if found.kind == "" {
		return
	}
	if found.view == "own" && (c == nil || !c.visits) {
		return
	}
	x.fillText(e, f.kind, found.kind)
	x.fillText(e, f.path, e.Text([]byte(found.path)))
	x.fillText(e, f.pod, e.Text([]byte(found.pod)))
	x.fillText(e, f.view, found.view)
	x.ancestors(e, c, p)
	if x.readBefore(s, c, p) {
		x.fill(e, f.again, event.Bool(true))
	}
	if c != nil {
		c.readAt = s.t
	}
}

// entered looks at the command that a runtime's client or nsenter runs in a container, and
// at what is copied out of one: paths of its own are that container's.
func (l *lookup) entered(call *runtimecli.Call, args []string) {
	what := call.Behaviours[0]
	if what == "socket-client" && len(call.Behaviours) > 1 {
		what = call.Behaviours[1]
	}
	engine := engineOf(call.Tool)
	in := lookup{found: func(one secret) {
		if one.view == "own" {
			// Docker and Podman mount secrets of their own beside those of pods.
			if (engine == "docker" || engine == "podman") && !strings.Contains(one.path, "kubernetes.io") && !strings.Contains(one.path, "serviceaccount") {
				return
			}
			one.view = "entered"
		}
		l.found(one)
	}}
	switch what {
	case "namespace-enter":
		files := slices.Contains(call.Entered, "mnt") || slices.Contains(call.Entered, "root")
		if !files || call.Target == "1" { // the files of the node
			found := l.found
			in.found = func(one secret) {
				if one.view != "own" {
					found(one)
				}
			}
		}
		in.command("", call.Payload, 0)
	case "container-exec":
		in.command("", call.Payload, 0)
	case "copy":
		for _, a := range args[:max(len(args)-1, 0)] { // CONTAINER:PATH, but for the last, which is to where
			if name, at, ok := strings.Cut(a, ":"); ok && name != "" && strings.HasPrefix(at, "/") {
				in.paths([]string{at}, true)
			}
		}
	}
}

// readBefore reports whether what started the process, or was it before, said that it reads
// secrets: sudo and the cat that it runs are one act.
func (x *Enricher) readBefore(s *sight, c, p *proc) bool {
	near := func(q *proc) bool { return q.readAt != 0 && s.t-q.readAt >= 0 && s.t-q.readAt <= act }
	if c != nil && near(c) {
		return true
	}
	for range 4 {
		if p == nil {
			return false
		}
		if near(p) {
			return true
		}
		p = x.procs[key{p.key.host, p.ppid}]
	}
	return false
}

// mayRead reports whether there is anything in a command line that could be the path of a
// secret.
func mayRead(args event.Value, cwd string) bool {
	if args.Len() == 0 {
		return false
	}
	if suspect(cwd) {
		return true
	}
	for i := range args.Len() {
		if a := args.At(i).Str(); len(a) > 5 && (suspect(a) || strings.Contains(a, "kubelet") || begins(a)) {
			return true
		}
	}
	return false
}

func suspect(s string) bool {
	return strings.Contains(s, "/kube") || strings.Contains(s, "secrets") || strings.Contains(s, "/root") || strings.Contains(s, "/merged/") ||
		strings.Contains(s, "/diff/") || strings.Contains(s, "/snapshots/") || strings.Contains(s, "/kubernetes.io~") || strings.Contains(s, "/pods/")
}

// begins reports whether a relative path may be that of a secret, by where it is from.
func begins(a string) bool {
	switch a[0] {
	case 'k', 'r', 'm', 'd', 's', 'p':
		for _, first := range [...]string{"kube", "root/", "merged/", "diff/", "snapshots/", "pods/"} {
			if strings.HasPrefix(a, first) {
				return true
			}
		}
	}
	return false
}

// A lookup finds the secrets that commands read.
type lookup struct {
	cwd   string
	found func(secret)
}

const maxNested = 4

// command looks at a command: exe is what runs, "" if only its name is known.
func (l *lookup) command(exe string, argv []string, depth int) {
	if len(argv) == 0 || depth > maxNested {
		return
	}
	name := strings.TrimPrefix(base(argv[0]), "-")
	if exe != "" {
		name = base(exe)
	}
	args := argv[1:]
	switch kind := programs[versionless(name)]; kind {
	case wrapper:
		l.wrapped(argv, depth)
	case shell, interpreter:
		for i, a := range args {
			if !strings.HasPrefix(a, "-") {
				// The script itself, and what it is given: that is what it may read.
				l.paths(args[i:], false)
				return
			}
			if isCode(a, kind) && i+1 < len(args) {
				if kind == shell {
					l.script(args[i+1], depth+1)
				} else {
					l.code(args[i+1])
				}
				l.paths(args[i+2:], false)
				return
			}
			if at := strings.IndexByte(a, '\''); kind == interpreter && at < 0 && len(a) > 2 && (a[1] == 'c' || a[1] == 'e' || a[1] == 'r') {
				l.code(a[2:]) // perl -e'…'
			}
		}
	case harmless:
	case finder:
		for i, a := range args {
			if a == "-exec" || a == "-execdir" || a == "-ok" || a == "-okdir" {
				run := lookup{cwd: l.cwd, found: l.found}
				inner := slices.Clone(args[i+1:])
				if len(inner) == 0 || !opens(inner) {
					return
				}
				for j, w := range args[:i] { // where it looks, up to its first test
					if strings.HasPrefix(w, "-") && w != "-L" && w != "-H" && w != "-P" {
						run.paths(args[:j], true)
						return
					}
				}
				run.paths(args[:i], true)
				return
			}
		}
	case linker: // only what makes the files reachable by another path
		if slices.ContainsFunc(args, func(a string) bool {
			return a == "--bind" || a == "--rbind" || a == "-B" || a == "-R" || strings.Contains(a, "bind")
		}) || name == "ln" {
			l.paths(args[:max(len(args)-1, 0)], true)
		}
	case recursive:
		l.operands(name, args, deep(name, args))
	default:
		l.operands(name, args, false)
	}
}

// opens reports whether a command after find's -exec reads the files it is given.
func opens(argv []string) bool {
	switch kind := programs[versionless(base(argv[0]))]; kind {
	case harmless, finder:
		return false
	case wrapper, shell:
		return len(argv) > 1
	}
	return true
}

// wrapped looks at the command that a wrapper runs.
func (l *lookup) wrapped(argv []string, depth int) {
	for i := 1; i < len(argv); i++ {
		a := argv[i]
		_, known := programs[versionless(base(a))]
		if dir, next, ok := chdir(base(argv[0]), argv[i:]); ok {
			l.cd(dir)
			i += next - 1
			continue
		}
		switch {
		case a == "" || a[0] == '-' || strings.IndexByte(a, '=') > 0 && a[0] != '/':
		case known:
			l.command("", argv[i:], depth+1)
			return
		case a[0] >= '0' && a[0] <= '9': // timeout 5
		case i > 1 && strings.HasPrefix(argv[i-1], "-") && !strings.Contains(argv[i-1], "=") && !strings.ContainsAny(a, "/"):
			// perhaps the value of an option: sudo -u root
		default:
			l.command("", argv[i:], depth+1)
			return
		}
	}
	l.paths(argv[1:], false) // The command is one that was taken for a value.
}

// isCode reports whether an option is followed by code.
func isCode(a string, kind programKind) bool {
	if len(a) < 2 || a[0] != '-' {
		return false
	}
	if kind == shell {
		return a[1] != '-' && strings.HasSuffix(a, "c")
	}
	switch a {
	case "-c", "-e", "-E", "-r", "-p", "-pe", "-ne", "-lne", "-nle", "--eval", "--print", "-Mstrict":
		return true
	}
	return a[1] != '-' && strings.HasSuffix(a, "e")
}

// script looks at the commands of a shell script. It splits them as far as quotes, pipes and
// redirections go.
func (l *lookup) script(text string, depth int) {
	var words []string
	var word strings.Builder
	in, input, output := false, false, false
	var held []string // paths that variables have
	reads := false
	endWord := func() {
		if !in {
			return
		}
		w := word.String()
		word.Reset()
		in = false
		switch {
		case input:
			l.paths([]string{w}, false)
			input = false
		case output:
			output = false
		case len(words) == 0 && assigns(w):
			_, v, _ := strings.Cut(w, "=")
			held = append(held, v)
		case len(words) == 0 && keywords[w]:
		default:
			words = append(words, w)
		}
	}
	endCommand := func() {
		endWord()
		input, output = false, false
		if len(words) > 0 {
			if words[0] == "for" && len(words) > 3 {
				held = append(held, words[3:]...)
			} else if words[0] == "cd" && len(words) == 2 {
				l.cd(words[1])
			} else {
				if k := programs[versionless(base(words[0]))]; k != harmless && k != finder && words[0] != "echo" && words[0] != "printf" {
					reads = reads || slices.ContainsFunc(words[1:], func(w string) bool { return strings.Contains(w, "$") }) || words[0] == "while"
				}
				if words[0] == "xargs" || base(words[0]) == "xargs" {
					reads = true
				}
				l.command("", words, depth)
			}
		}
		words = nil
	}
	for i := 0; i < len(text); i++ {
		switch b := text[i]; b {
		case ' ', '\t', '\r':
			endWord()
		case '\n', ';', '|', '&', '(', ')', '`':
			if b == '&' && i > 0 && (text[i-1] == '>' || text[i-1] == '<') {
				continue
			}
			if b == '&' && i+1 < len(text) && text[i+1] == '>' {
				continue
			}
			endCommand()
		case '<', '>':
			if i+1 < len(text) && text[i+1] == '(' { // <(…)
				continue
			}
			if w := word.String(); in && len(w) == 1 && w[0] >= '0' && w[0] <= '9' {
				word.Reset()
				in = false
			}
			endWord()
			input, output = b == '<', b == '>'
			for i+1 < len(text) && (text[i+1] == '<' || text[i+1] == '>') {
				i++
				input = input && text[i] == '>' // <> reads; here-documents do not
			}
		case '\'':
			end := strings.IndexByte(text[i+1:], '\'')
			if end < 0 {
				end = len(text) - i - 1
			}
			word.WriteString(text[i+1 : i+1+end])
			in = true
			i += end + 1
		case '"':
			in = true
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '$' && i+1 < len(text) && text[i+1] == '(' || text[i] == '`' {
					inner, last := substituted(text, i)
					l.script(inner, depth+1)
					i = last
					continue
				}
				if text[i] == '\\' && i+1 < len(text) {
					i++
				}
				word.WriteByte(text[i])
			}
		case '\\':
			if i+1 < len(text) {
				i++
				word.WriteByte(text[i])
				in = true
			}
		case '$':
			if i+1 < len(text) && text[i+1] == '(' {
				inner, last := substituted(text, i)
				if depth <= maxNested {
					l.script(inner, depth+1)
				}
				i = last
				in = true
				continue
			}
			word.WriteByte(b)
			in = true
		default:
			word.WriteByte(b)
			in = true
		}
	}
	endCommand()
	if reads {
		l.paths(held, false)
	}
}

// substituted returns the script of $(…) or `…` at i, and the index of its end.
func substituted(text string, i int) (inner string, last int) {
	if text[i] == '`' {
		if end := strings.IndexByte(text[i+1:], '`'); end >= 0 {
			return text[i+1 : i+1+end], i + 1 + end
		}
		return text[i+1:], len(text) - 1
	}
	depth := 0
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text[i+2 : j], j
			}
		}
	}
	return text[min(i+2, len(text)):], len(text) - 1
}

func assigns(w string) bool {
	i := strings.IndexByte(w, '=')
	return i > 0 && !strings.ContainsAny(w[:i], "/-.$")
}

var keywords = wordsOf("if then else elif fi do done while until { } ! time exec export local readonly eval builtin")

// code looks at the paths in the code of an interpreter, unless that only asks whether they are there.
func (l *lookup) code(text string) {
	for _, verb := range [...]string{"open", "read", "slurp", "load", "File", "Path(", "copy", "system", "exec", "popen", "run(", "call(", "output(", "`", "<", "while", "cat", "require", "include", "source", "input", "get_contents", "IO."} {
		if strings.Contains(text, verb) {
			l.paths([]string{text}, false)
			return
		}
	}
}

// cd makes dir the folder that relative paths are of.
func (l *lookup) cd(dir string) {
	if !strings.HasPrefix(dir, "/") {
		dir = l.cwd + "/" + dir
	}
	l.cwd = slash.Clean(dir)
}

// paths looks at what the words name. Deep says that folders are read with what they hold.
func (l *lookup) paths(words []string, deep bool) {
	for _, w := range words {
		any := false
		for rest := w; ; {
			i := strings.IndexByte(rest, '/')
			if i < 0 {
				break
			}
			// A path begins at a slash that follows nothing of a path, as in -T/x, if=/x, @/x.
			if before := rest[:i]; before != "" && pathByte(before[len(before)-1]) && !(len(before) == 2 && before[0] == '-') {
				rest = rest[i+1:]
				if j := strings.IndexFunc(rest, func(r rune) bool { return r > 127 || !pathByte(byte(r)) && r != '/' }); j >= 0 {
					rest = rest[j:]
					continue
				}
				break
			}
			rest = rest[i:]
			end := strings.IndexAny(rest, " \t\n\"'`;|&<>(),$")
			if end < 0 {
				end = len(rest)
			}
			any = true
			l.at(rest[:end], deep)
			if rest = rest[end:]; rest == "" {
				break
			}
		}
		if !any && w != "" && w[0] != '-' && l.cwd != "" && len(w) < 4096 {
			w = w[strings.LastIndexAny(w, "=@:")+1:]
			l.at(l.cwd+"/"+w, deep)
		}
	}
}

// pathByte reports whether a byte may be one of a relative path's.
func pathByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("._-~*?]}", b) >= 0
}

func (l *lookup) at(p string, deep bool) {
	if len(p) > 4096 || !suspect(p) || p[0] != '/' {
		return
	}
	p = slash.Clean(p)
	if one, ok := secretAt(p); ok && (deep || !one.tree) {
		one.path = p
		l.found(one)
	}
}

// secretAt says what secret a clean path leads to. A path may be a pattern of the shell's.
func secretAt(p string) (s secret, ok bool) {
	parts := strings.Split(p[1:], "/")
	at, root, proc := 0, false, false // where the files of the root that is looked into begin
	for i := range parts {
		switch {
		case parts[i] == "proc" && i+2 < len(parts):
			j := i + 2
			if parts[j] == "task" && j+2 < len(parts) {
				j += 2
			}
			if parts[j] != "root" && parts[j] != "cwd" {
				continue
			}
			own := parts[i+1] == "self" || parts[i+1] == "thread-self"
			at, root, proc = j+1, root || !own, true
		case !proc && (parts[i] == "rootfs" || parts[i] == "merged" || parts[i] == "diff") && i > 1,
			(parts[i] == "fs" || matches(parts[i], "fs")) && i > 1 && parts[i-2] == "snapshots",
			i == 0 && (parts[i] == "host" || parts[i] == "hostfs" || parts[i] == "rootfs" || parts[i] == "noderoot"):
			at, root = i+1, true
		}
	}
	rest := parts[min(at, len(parts)):]
	own := func() string {
		if root {
			return "root"
		}
		return "own"
	}
	// A volume of the kubelet's: …/pods/UID/volumes/kubernetes.io~secret/NAME/KEY
	for i, e := range rest {
		if e != "pods" || i == 0 && !root && len(rest) < 4 {
			continue
		}
		below := rest[i+1:]
		kubelet := slices.Contains(rest[:i], "kubelet") || len(below) > 2
		if !kubelet {
			continue
		}
		s.view = "node"
		if len(below) > 0 && len(below[0]) >= 32 {
			s.pod = below[0]
		}
		if len(below) < 2 || len(below) == 2 && matches(below[1], "volumes") {
			if !slices.Contains(rest[:i], "kubelet") {
				return secret{}, false
			}
			s.kind, s.tree = "volumes", true
			return s, true
		}
		if !matches(below[1], "volumes") {
			return secret{}, false
		}
		plugin, inside := below[2], below[3:]
		switch {
		case matches(plugin, "kubernetes.io~secret"):
			s.kind = "secret"
		case matches(plugin, "kubernetes.io~projected"):
			s.kind = projected(inside)
		case strings.HasPrefix(plugin, "kubernetes.io~csi") && len(inside) > 1 && strings.Contains(inside[0], "secret"):
			s.kind = "secret" // the secrets store's
		default:
			return secret{}, false
		}
		s.tree = len(inside) < 2 // a volume, or all of them
		return s, s.kind != ""
	}
	if len(rest) > 1 && rest[len(rest)-1] == "kubelet" && slices.Contains(rest, "lib") {
		return secret{kind: "volumes", view: "node", tree: true}, true
	}
	// What is mounted in the container: /run/secrets/kubernetes.io/serviceaccount/token
	if len(rest) > 1 && rest[0] == "var" {
		rest = rest[1:]
	}
	if len(rest) > 1 && rest[0] == "run" && rest[1] == "secrets" {
		below := rest[2:]
		s.view = own()
		switch {
		case len(below) == 0 || len(below) < 3 && (below[0] == "kubernetes.io" || strings.HasSuffix(below[0], ".com")):
			s.kind, s.tree = "token", true
		case below[0] == "kubernetes.io" || strings.Contains(p, "serviceaccount") || strings.Contains(below[len(below)-1], "token"):
			s.kind = projected([]string{"kube-api-access", below[len(below)-1]})
		default:
			s.kind = "secret"
		}
		return s, s.kind != ""
	}
	if root && credential(rest) {
		return secret{kind: "credential", view: "root"}, true
	}
	return secret{}, false
}

// projected is the kind of a file of a projected volume, by its path from the volume's name on.
func projected(inside []string) string {
	if len(inside) < 2 {
		return "token"
	}
	switch key := inside[len(inside)-1]; {
	case key == "ca.crt" || key == "namespace" || key == "service-ca.crt":
		return ""
	case strings.Contains(key, "token") || strings.ContainsAny(key, "*?[{") || strings.HasPrefix(key, ".."):
		return "token"
	}
	if strings.HasPrefix(inside[0], "kube-api-access") {
		return "token"
	}
	return "projected"
}

// credential reports whether a path in somebody else's files is one where programs keep
// their keys and passwords.
func credential(parts []string) bool {
	if len(parts) < 2 {
		return false
	}
	last, dir := parts[len(parts)-1], parts[len(parts)-2]
	switch {
	case dir == "etc" && (last == "shadow" || last == "gshadow"):
	case dir == ".kube" && last == "config", dir == ".aws" && last == "credentials", dir == ".docker" && last == "config.json", dir == ".azure", dir == "gcloud",
		dir == ".ssh" && strings.HasPrefix(last, "id_") && !strings.HasSuffix(last, ".pub"), dir == "kubernetes" && strings.HasSuffix(last, ".conf"):
	case last == ".git-credentials" || last == ".netrc" || last == ".pgpass" || last == ".vault-token" || last == ".npmrc" || last == ".pypirc" || last == "kubeconfig" || last == ".env":
	case slices.Contains(parts, "pki") && strings.HasSuffix(last, ".key"), slices.Contains(parts, "pki") && strings.HasPrefix(last, "kubelet-client"):
	default:
		return false
	}
	return true
}

// matches reports whether an element of a path, or a pattern of the shell's, is name.
func matches(pattern, name string) bool {
	if pattern == name {
		return true
	}
	if !strings.ContainsAny(pattern, "*?[{") {
		return false
	}
	if strings.ContainsAny(pattern, "{") {
		return true // {a,b}
	}
	ok, err := slash.Match(pattern, name)
	return ok || err != nil
}

// A programKind is what a program does with the files that it is given, as far as that is
// not reading them.
type programKind uint8

const (
	reader      programKind = iota
	harmless                // looks at names and attributes alone
	wrapper                 // runs the rest of its command line
	shell                   // runs a script,
	interpreter             // code
	finder                  // looks at names, unless told to run something
	linker                  // mounts and links
	recursive               // reads what a folder holds, always or if asked to
)

var programs = func() map[string]programKind {
	m := map[string]programKind{}
	add := func(k programKind, names string) {
		for name := range strings.FieldsSeq(names) {
			m[name] = k
		}
	}
	add(reader, "cat tac nl head tail less more most bat view vi vim nvim nano ed strings xxd od hexdump base64 base32 openssl gpg dd curl wget nc ncat socat gzip bzip2 xz zstd zcat "+
		"awk gawk mawk sed cut sort uniq tee split cmp diff comm paste rev jq yq tr")
	// These read elsewhere than here, or have rules of their own.
	add(harmless, "kubectl oc ssh ctr crictl nerdctl docker podman runc crun nsenter machinectl kubeadm helm k3s rke2 k0s")
	add(harmless, "ls dir vdir exa eza stat du df test [ file readlink realpath namei tree lsof fuser umount findmnt mountpoint chmod chown chgrp chcon restorecon setfacl getfacl getfattr setfattr rm rmdir "+
		"mkdir touch unlink shred truncate fallocate inotifywait inotifywatch fsck blkid mkfs.ext4 mkfs.xfs resize2fs basename dirname echo printf pwd cd true false sleep wc md5sum sha1sum sha256sum sha512sum cksum "+
		"sync auditctl logger systemd-tmpfiles kubelet findfs mktemp setenforce getenforce semanage chattr lsattr quota xfs_quota pgrep pkill kill ps id whoami uname command type which locate updatedb")
	add(wrapper, "sudo doas su env nohup timeout nice ionice chrt taskset setsid stdbuf time command xargs parallel watch busybox toybox unshare setpriv runuser gosu su-exec chroot strace ltrace systemd-run flock script unbuffer proxychains4 firejail")
	add(shell, "sh bash dash ash ksh mksh zsh fish rbash busybox-sh")
	add(interpreter, "python perl ruby node nodejs php lua deno bun pypy osascript tclsh Rscript julia")
	add(finder, "find bfs fd fdfind")
	add(linker, "mount ln cp-link")
	add(recursive, "cp tar bsdtar rsync scp grep egrep fgrep rg ag ack zip 7z 7za 7zr cpio pax dump restic borg kopia rclone mv install mcopy")
	return m
}()

// deep reports whether a program reads what its folders hold.
func deep(name string, args []string) bool {
	switch name {
	case "tar", "bsdtar", "rg", "ag", "ack", "cpio", "pax", "dump", "restic", "borg", "kopia", "rclone", "mv", "7z", "7za", "7zr":
		return !slices.ContainsFunc(args, func(a string) bool { return a == "--list" || a == "-t" || a == "-tf" || a == "--files" })
	}
	return slices.ContainsFunc(args, func(a string) bool {
		short := len(a) > 1 && a[0] == '-' && a[1] != '-'
		return short && strings.ContainsAny(a, "rRa") || a == "--recursive" || a == "--archive" || a == "--dereference-recursive" || a == "--directories=recurse"
	})
}

// versionless is the name of a program without its version: python3.11, lua5.4.
func versionless(name string) string {
	short := strings.TrimRight(name, "0123456789.")
	if k, ok := programs[short]; ok && k == interpreter {
		return short
	}
	return name
}

func wordsOf(list string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		m[w] = true
	}
	return m
}
