package chain

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A Kind is the kind of a finding.
type Kind string

// The findings. A trail with any of them is not whole.
const (
	Changed       Kind = "changed"
	Missing       Kind = "missing"
	Added         Kind = "added"
	CutOff        Kind = "cut_off"
	Forked        Kind = "forked"
	Malformed     Kind = "malformed"
	UnverifiedKey Kind = "unknown_key"
	WithoutKey    Kind = "without_key"
)

// The kinds of notes.
const (
	NoteOrder   = "order"
	NoteTorn    = "torn"
	NoteKilled  = "not_stopped"
	NoteDropped = "lines_dropped"
	NoteEnd     = "end_unknown"
)

// A Finding is a place where a trail is not whole.
type Finding struct {
	Kind    Kind   `json:"kind"`
	Node    string `json:"node,omitempty"`
	Seq     int64  `json:"seq,omitempty"`
	Through int64  `json:"through,omitempty"` // the last of several lines
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Text    string `json:"text"`
}

// A Note is something to know about a trail that can be whole.
type Note struct {
	Kind string `json:"kind"`
	Node string `json:"node,omitempty"`
	Seq  int64  `json:"seq,omitempty"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

// A NodeReport has the lines of a node that are there.
type NodeReport struct {
	Node  string    `json:"node"`
	Lines int       `json:"lines"`
	First int64     `json:"first"`
	Last  int64     `json:"last"`
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to,omitzero"`
	Whole bool      `json:"whole"`
}

// maxFindings is the maximum number of findings and of notes that are kept.
const maxFindings = 1000

// A Report is the result of a verification.
type Report struct {
	Whole    bool         `json:"whole"`
	EndKnown bool         `json:"end_compared"` // with the newest lines in the store
	Nodes    []NodeReport `json:"nodes"`
	Findings []Finding    `json:"findings"`
	Notes    []Note       `json:"notes"`

	FindingsLeftOut int `json:"findings_left_out,omitempty"`
	NotesLeftOut    int `json:"notes_left_out,omitempty"`

	damaged map[string]bool // nodes with a finding
}

func (r *Report) find(f Finding) {
	r.damaged[f.Node] = true
	if len(r.Findings) == maxFindings {
		r.FindingsLeftOut++
		return
	}
	r.Findings = append(r.Findings, f)
}

func (r *Report) note(n Note) {
	if len(r.Notes) == maxFindings {
		r.NotesLeftOut++
		return
	}
	r.Notes = append(r.Notes, n)
}

// Options say what need not be there.
type Options struct {
	// WithoutBeginning accepts that the first lines are missing, since the log deletes old
	// files.
	WithoutBeginning bool

	// Nodes are the names of the nodes to verify; nil for all.
	Nodes []string
}

// Report returns what is known about the lines that were read, compared with the newest lines
// in the store, unless heads is nil.
func (t *Trail) Report(heads []queue.AuditHead, o Options) Report {
	wanted := func(name string) bool { return len(o.Nodes) == 0 || slices.Contains(o.Nodes, name) }
	for _, name := range o.Nodes {
		if t.nodes[name] == nil && !slices.ContainsFunc(heads, func(h queue.AuditHead) bool { return h.Node == name }) {
			t.report.find(Finding{Kind: Missing, Node: name, Text: "no line of this node is there"})
		}
	}
	for _, h := range heads {
		if t.nodes[h.Node] == nil && wanted(h.Node) {
			t.nodes[h.Node] = &node{name: h.Node}
		}
	}
	r := &t.report
	r.EndKnown = heads != nil
	for _, name := range slices.Sorted(maps.Keys(t.nodes)) {
		n := t.nodes[name]
		if !wanted(name) {
			continue
		}
		t.link(n, o)
		known := heads == nil
		for _, h := range heads {
			if h.Node == name {
				t.compare(n, h)
				known = true
			}
		}
		if !known && n.last > 0 {
			r.note(Note{Kind: NoteEnd, Node: name, Seq: n.last, Text: "the store does not know this node, so its end was not compared: it belongs to another store"})
		}
		if n.last > 0 || r.damaged[name] {
			r.Nodes = append(r.Nodes, NodeReport{
				Node: name, Lines: len(n.lines), First: n.first, Last: n.last, From: n.from, To: n.through, Whole: !r.damaged[name],
			})
		}
	}
	if len(r.Nodes)+len(r.Findings) == 0 {
		r.find(Finding{Kind: Missing, Text: "there is no line of the audit trail"})
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return f.Node != "" && !wanted(f.Node) })
	r.Notes = slices.DeleteFunc(r.Notes, func(n Note) bool { return n.Node != "" && !wanted(n.Node) })
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Seq, b.Seq)) })
	slices.SortStableFunc(r.Notes, func(a, b Note) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Seq, b.Seq)) })
	r.Whole = len(r.Findings)+r.FindingsLeftOut == 0
	return *r
}
