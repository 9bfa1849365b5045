package agent

import (
	"slices"
	"strings"
	"sync"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

// misspelt returns a mistake for each field that q asks for and no event has: neither
// ours nor one in ECS's terms. A condition on it would never hold, and its negation
// always. As in Elasticsearch, a question mark before the field says that it may be
// missing altogether.
func misspelt(q *eql.Query) (mistakes syntax.Errors) {
	names := knownFields()
	q.Source.Fields(func(f *syntax.Field) {
		if f.Optional || isKnown(f.Path, names) {
			return
		}
		hint := "write ?" + syntax.FieldString(f.Path) + " for a field of your own"
		if near := syntax.DidYouMean(f.Path, names); near != "" {
			hint = near + " Or " + hint
		}
		mistakes = append(mistakes, &syntax.Error{Class: syntax.Verification, Src: q.Source.Src, Range: f.Range, Msg: "Unknown column [" + f.Path + "]", Hint: hint})
	})
	return mistakes
}

func isKnown(path string, names []string) bool {
	if _, ok := slices.BinarySearch(names, path); ok {
		return true
	}
	return slices.ContainsFunc(openSets, func(set string) bool { return strings.HasPrefix(path, set) })
}

// KnownField reports whether alerts may have a field, whatever the alerts are: an event, or
// what is made of it. hint says which may have been meant otherwise.
func KnownField(path string) (known bool, hint string) {
	names := alertFields()
	if isKnown(path, names) || slices.ContainsFunc([]string{"orlop.explain.", "orlop.evidence.", "kibana.alert.original_event."}, func(set string) bool { return strings.HasPrefix(path, set) }) {
		return true, ""
	}
	return false, syntax.DidYouMean(path, names)
}

// alertFields are knownFields, and those of an alert, in order.
var alertFields = sync.OnceValue(func() []string {
	names := slices.Clone(knownFields())
	for prefix, list := range map[string]string{
		"kibana.": "space_ids version",
		"kibana.alert.": "uuid original_time severity risk_score reason depth ancestors building_block_type group.id group.index status start url " +
			"workflow_status workflow_reason workflow_tags workflow_assignee_ids workflow_user workflow_status_updated_at instance.id",
		"kibana.alert.rule.": "uuid rule_id name description severity risk_score type tags note setup references false_positives license author version category consumer producer building_block_type " +
			"parameters.query parameters.language threat.framework threat.tactic.id threat.tactic.name threat.tactic.reference threat.technique.id threat.technique.name threat.technique.reference " +
			"threat.technique.subtechnique.id threat.technique.subtechnique.name threat.technique.subtechnique.reference",
	} {
		for name := range strings.FieldsSeq(list) {
			names = append(names, prefix+name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// openSets are objects whose members others name.
var openSets = []string{
	"labels.", "container.labels.", "kubernetes.", "cloud.", "auditd.data.", "process.Ext.", "process.io.",
	"orchestrator.resource.annotation.", "orchestrator.resource.label.", "data_stream.", "elastic.", "agent.", "Events.", "Target.", "Effective_process.",
}

// knownFields are the names of all that enrichment reads or fills, and those of ECS that
// events of a host have, in order.
var knownFields = sync.OnceValue(func() []string {
	s := event.NewSchema()
	enrich.New(s, enrich.Options{})
	var names []string
	for f := event.Field(1); s.Name(f) != ""; f++ {
		names = append(names, s.Name(f))
	}
	add := func(prefix, list string) {
		for name := range strings.FieldsSeq(list) {
			names = append(names, prefix+name)
		}
	}
	add("", "@timestamp message tags")
	add("event.", "action category code created dataset duration end hash id ingested kind module original outcome provider reason reference risk_score risk_score_norm sequence severity start timezone type url agent_id_status")
	add("host.", "architecture boot.id domain hostname id ip mac name pid_ns_ino type uptime os.type os.name os.family os.full os.kernel os.platform os.version os.codename os.Ext.variant "+
		"containerized geo.name")
	add("agent.", "id name type version ephemeral_id")
	add("ecs.", "version")
	for _, p := range []string{"user.", "user.effective.", "user.target.", "user.changes."} {
		add(p, "id name domain email full_name hash roles group.id group.name group.domain")
	}
	add("user.", "audit.id audit.name saved.id saved.name filesystem.id filesystem.name")
	add("auditd.", "session result message_type sequence paths summary.actor.primary summary.actor.secondary summary.object.primary summary.object.type summary.how")
	for _, who := range []string{"audit", "effective", "saved", "filesystem"} {
		add("auditd.user."+who+".", "id name group.id group.name")
	}
	add("group.", "id name domain")
	for _, p := range []string{"process.", "process.parent.", "process.session_leader.", "process.entry_leader.", "process.group_leader.", "process.previous.", "process.parent.group_leader.",
		"process.entry_leader.parent.", "process.session_leader.parent.", "process.entry_leader.parent.session_leader.", "process.session_leader.parent.session_leader."} {
		add(p, "args args_count command_line entity_id executable exit_code interactive name pid pgid ppid start end title uptime vpid same_as_process working_directory "+
			"tty tty.char_device.major tty.char_device.minor tty.columns tty.rows thread.id thread.name thread.capabilities.effective thread.capabilities.permitted "+
			"user.id user.name real_user.id real_user.name saved_user.id saved_user.name group.id group.name real_group.id real_group.name saved_group.id saved_group.name "+
			"supplemental_groups.id supplemental_groups.name env_vars attested_user.id attested_user.name attested_groups.name entry_meta.type entry_meta.source.ip "+
			"hash.md5 hash.sha1 hash.sha256 hash.sha512 hash.ssdeep code_signature.exists code_signature.status code_signature.subject_name code_signature.trusted code_signature.valid "+
			"elf.architecture elf.import_hash pe.original_file_name")
	}
	add("process.", "cgroup cgroup.path Ext.ancestry")
	add("container.", "id name runtime image.name image.tag image.hash.all security_context.privileged cpu.usage memory.usage")
	add("orchestrator.", "type namespace api_version cluster.id cluster.name cluster.url cluster.version organization resource.id resource.ip resource.name resource.type resource.parent.type")
	for _, p := range []string{"file.", "file.target."} {
		add(p, "accessed created ctime device directory extension gid group hash.md5 hash.sha1 hash.sha256 inode mime_type mode mtime name owner path size target_path type uid "+
			"Ext.original.path Ext.original.name Ext.original.extension Ext.header_bytes Ext.entropy")
	}
	for _, p := range []string{"source.", "destination.", "client.", "server."} {
		add(p, "address bytes domain ip mac packets path port user.name user.id geo.country_iso_code geo.country_name as.number as.organization.name")
	}
	add("network.", "application bytes community_id direction iana_number name packets protocol transport type vlan.id")
	add("dns.", "question.name question.type resolved_ip answers.data")
	add("url.", "domain extension full original path port query scheme username")
	add("user_agent.", "name original version")
	add("service.", "id name node.name type version state environment")
	add("log.", "file.path level logger syslog.priority")
	add("related.", "hash hosts ip user")
	add("rule.", "id name category ruleset uuid version")
	add("threat.", "framework tactic.id tactic.name technique.id technique.name")
	add("orlop.", "host.role tuning.exempt tuning.exempt_by socket.peer evidence.lost evidence.truncated evidence.unwatched cgroup "+
		"process.comm process.filename process.deleted process.detached namespace.pid namespace.mnt namespace.net namespace.user socket.owner.pid socket.owner.user.id socket.owner.executable")
	slices.Sort(names)
	return slices.Compact(names)
})
