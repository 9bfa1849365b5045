package runtimecli

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// What is read of the body of a call to Docker's or Podman's HTTP API. Both ends are
// Go programs, so that it is read with Go's decoder: the first value counts, keys of
// any case are the same, a field given twice is merged, and one of another type is
// refused. What the fields mean is what the flags of docker run mean, which are made
// into them.

// bodyFields are the fields that are read, in lower case. The rest is skipped, so that
// what a body holds is bounded by them and not by its sender.
var bodyFields = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(`
		image cmd entrypoint hostconfig privileged binds mounts volumesfrom networkmode pidmode ipcmode utsmode usernsmode
		cgroupnsmode capadd securityopt maskedpaths devices pathonhost devicecgrouprules runtime type source readonly
		bindoptions propagation volumeoptions driverconfig options driveropts device o
		name command rootfs rootfs_propagation overlay_volumes volumes_from device_cgroup_rule host_device_list path major
		minor access pod_devices netns pidns ipcns utsns userns cgroupns nsmode value cap_add security_opt selinux_opts
		apparmor_profile seccomp_profile_path unmask oci_runtime`) {
		m[name] = true
	}
	return m
}()

const (
	maxBody    = 1 << 20
	maxNesting = 16
	maxItems   = 4096 // of a list
)

type object = map[string]any

var errTooMuch = errors.New("more than is read")

// readJSON returns the next value of d, or what there is of it before the error.
func readJSON(d *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		var skipped json.RawMessage
		return nil, d.Decode(&skipped)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := object{}
		for d.More() {
			t, err := d.Token()
			if err != nil {
				return o, err
			}
			key, _ := t.(string)
			// As the decoder folds it: ſ is an s, and the sign of Kelvin a k.
			if key = strings.ToLower(strings.ToUpper(key)); !bodyFields[key] {
				var skipped json.RawMessage
				if err := d.Decode(&skipped); err != nil {
					return o, err
				}
				continue
			}
			v, err := readJSON(d, depth+1)
			merge(o, key, v)
			if err != nil {
				return o, err
			}
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		var more error
		for d.More() {
			v, err := readJSON(d, depth+1)
			if v != nil && len(list) < maxItems {
				list = append(list, v)
			} else if v != nil {
				more = errTooMuch
			}
			if err != nil {
				return list, err
			}
		}
		if _, err = d.Token(); err == nil {
			err = more
		}
		return list, err
	}
	return t, nil
}

// merge gives a field of o a value; null leaves what it was.
func merge(o object, key string, v any) {
	was, ok := o[key].(object)
	now, more := v.(object)
	switch {
	case ok && more:
		for k, v := range now {
			merge(was, k, v)
		}
	case v != nil:
		o[key] = v
	}
}

func child(o object, key string) object { c, _ := o[key].(object); return c }
func textOf(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

// stringsOf is a list of strings, or one that stands for itself (Docker's StrSlice).
func stringsOf(o object, key string) (out []string) {
	switch v := o[key].(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

func objectsOf(o object, key string) (out []object) {
	list, _ := o[key].([]any)
	for _, one := range list {
		if c, ok := one.(object); ok {
			out = append(out, c)
		}
	}
	return out
}

// body takes what the body of a call of the class asks for.
func (p *parser) body(class string, libpod bool, text string) {
	if len(text) > maxBody {
		text = text[:maxBody]
		p.partial()
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := readJSON(d, 0)
	if err != nil {
		p.partial()
	}
	o, ok := v.(object)
	if !ok {
		return
	}
	switch class {
	case "container-create":
		cmd := "cmd"
		if libpod {
			cmd = "command"
		}
		p.call.Payload = append(stringsOf(o, "entrypoint"), stringsOf(o, cmd)...)
		p.call.Image = reference(textOf(o, "image"))
		if !libpod {
			p.hostConfig(child(o, "hostconfig"))
			break
		}
		if p.call.Container == "" {
			p.call.Container = textOf(o, "name")
		}
		p.specGenerator(o)
	case "pod-create":
		p.call.Pod = textOf(o, "name")
		p.specGenerator(o)
	case "container-exec":
		p.call.Payload = stringsOf(o, "cmd")
		p.privileged(o)
	case "volume":
		for _, key := range [...]string{"driveropts", "options"} { // Docker's, and Podman's own
			p.volumeOptions(child(o, key))
		}
	}
}

func (p *parser) privileged(o object) {
	if on, _ := o["privileged"].(bool); on {
		p.grant("privileged", "")
	}
}

// each takes every string of a list as the value of a flag.
func (p *parser) each(r role, o object, key string) {
	for _, s := range stringsOf(o, key) {
		p.access(r, s)
	}
}

// hostConfig takes Docker's HostConfig, which Podman reads for Docker's clients.
func (p *parser) hostConfig(h object) {
	p.privileged(h)
	p.each(roleVolume, h, "binds")
	for _, m := range objectsOf(h, "mounts") {
		readOnly, _ := m["readonly"].(bool)
		p.access(rolePropagation, textOf(child(m, "bindoptions"), "propagation"))
		p.volumeOptions(child(child(child(m, "volumeoptions"), "driverconfig"), "options"))
		p.source(strings.ToLower(textOf(m, "type")), textOf(m, "source"), false, readOnly)
	}
	p.each(roleVolumesFrom, h, "volumesfrom")
	for _, ns := range [...]struct{ key, kind string }{
		{"networkmode", "net"}, {"pidmode", "pid"}, {"ipcmode", "ipc"}, {"utsmode", "uts"}, {"usernsmode", "user"}, {"cgroupnsmode", "cgroup"},
	} {
		p.namespace(ns.kind, textOf(h, ns.key))
	}
	p.each(roleCap, h, "capadd")
	p.each(roleSecurity, h, "securityopt")
	if list, ok := h["maskedpaths"].([]any); ok && len(list) == 0 {
		p.grant("systempaths-unconfined", "")
	}
	for _, d := range objectsOf(h, "devices") {
		p.device(textOf(d, "pathonhost"))
	}
	p.each(roleDeviceRule, h, "devicecgrouprules")
	p.access(roleRuntime, textOf(h, "runtime"))
}

// specGenerator takes what libpod's own API makes a container or a pod of.
func (p *parser) specGenerator(o object) {
	p.privileged(o)
	if dir := textOf(o, "rootfs"); dir != "" {
		p.grant("rootfs:", dir)
	}
	for _, m := range objectsOf(o, "mounts") {
		options := stringsOf(m, "options")
		bind := slices.Contains(options, "bind") || slices.Contains(options, "rbind")
		for _, option := range options {
			p.access(rolePropagation, option)
		}
		p.overlay(strings.Join(options, ","))
		p.source(strings.ToLower(textOf(m, "type")), textOf(m, "source"), bind, slices.Contains(options, "ro"))
	}
	for _, m := range objectsOf(o, "overlay_volumes") {
		p.source("bind", textOf(m, "source"), true, false)
	}
	p.each(roleVolumesFrom, o, "volumes_from")
	for _, key := range [...]string{"devices", "host_device_list"} {
		for _, d := range objectsOf(o, key) {
			at, _, _ := strings.Cut(textOf(d, "path"), ":")
			p.device(at)
		}
	}
	p.each(roleDevice, o, "pod_devices")
	for _, d := range objectsOf(o, "device_cgroup_rule") {
		number := func(key string) string {
			if n, ok := d[key].(json.Number); ok {
				return n.String()
			}
			return "*"
		}
		p.grant("device-cgroup:", textOf(d, "type")+" "+number("major")+":"+number("minor")+" "+textOf(d, "access"))
	}
	for _, ns := range [...]struct{ key, kind string }{
		{"netns", "net"}, {"pidns", "pid"}, {"ipcns", "ipc"}, {"utsns", "uts"}, {"userns", "user"}, {"cgroupns", "cgroup"},
	} {
		c := child(o, ns.key)
		switch mode := textOf(c, "nsmode"); mode {
		case "container":
			p.namespace(ns.kind, "container:"+textOf(c, "value"))
		case "path":
			p.namespaceAt(ns.kind, textOf(c, "value"))
		default:
			p.namespace(ns.kind, mode)
		}
	}
	p.each(roleCap, o, "cap_add")
	p.each(roleSecurity, o, "security_opt")
	p.access(roleAppArmor, textOf(o, "apparmor_profile"))
	p.security("seccomp=" + textOf(o, "seccomp_profile_path"))
	for _, label := range stringsOf(o, "selinux_opts") {
		p.security("label=" + label)
	}
	if len(stringsOf(o, "unmask")) > 0 {
		p.security("unmask")
	}
	p.access(roleRuntime, textOf(o, "oci_runtime"))
	p.access(rolePropagation, textOf(o, "rootfs_propagation"))
}

func (p *parser) device(at string) {
	if at != "" {
		p.grant("device:", at)
	}
}

// volumeOptions takes the options of a volume of the local driver, which may be any
// directory.
func (p *parser) volumeOptions(o object) {
	if at := textOf(o, "device"); strings.HasPrefix(at, "/") {
		p.bind(at)
	}
	p.overlay(textOf(o, "o"))
}
