package pages

import (
	"embed"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/scribegate/scribegate/caddymodule/internal/wording"
)

//go:embed templates
var templateFiles embed.FS

// partHeader is the header with which the script asks for the parts of a page that change.
const partHeader = "Scribegate-Part"

// templates has a set of templates for each page: its own, and the common ones.
var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	common := template.Must(template.New("").Funcs(template.FuncMap{"comma": comma, "sentence": sentence}).ParseFS(templateFiles, "templates/base.html", "templates/common.html"))
	all := make(map[string]*template.Template)
	for _, name := range []string{"overview", "events", "event", "failed", "state", "preview", "job"} {
		all[name] = template.Must(template.Must(common.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}

// A document is the data of the base template.
type document struct {
	Title string
	Page  string // the name of the current page
	Nav   []navItem
	User  string
	Acts  bool // whether the visitor may replay and purge
	Now   moment

	Refresh bool // whether the page loads itself again where there is no script
	Still   bool // whether the script leaves the page as it is
	Data    any
}

// render writes a page, or only its parts that change, if the request asks for them.
func render(out io.Writer, v *visit, c content) error {
	t := templates[c.template]
	if c.asOf.IsZero() {
		c.asOf = v.now
	}
	d := document{
		Title: c.title, Page: pageName(v.URL.Path), Nav: v.nav(), User: v.by.Name, Acts: v.by.Acts,
		Now: at(c.asOf, ""), Refresh: c.refresh, Still: c.still || c.status != 0, Data: c.data,
	}
	if v.partial() {
		return t.ExecuteTemplate(out, "parts", d)
	}
	return t.ExecuteTemplate(out, "base", d)
}

// partial reports whether the request asks only for the parts of a page that change.
func (v *visit) partial() bool { return v.Header.Get(partHeader) != "" && v.Method == http.MethodGet }

// A navItem is a link of the navigation.
type navItem struct {
	Page  string
	Href  string
	Name  string
	Count string // "" where there is nothing to count
	Tone  tone
}

// nav returns the navigation, with the counts where they are known.
func (v *visit) nav() []navItem {
	items := append(make([]navItem, 0, 6), navItem{Page: "", Href: "./", Name: "Overview"}, navItem{Page: "events", Href: "events", Name: "Events"})
	counts := make(map[string]int64)
	if v.state != nil {
		q := v.state.status.Queue
		counts = map[string]int64{"dead": v.state.dead(), "quarantined": q.Quarantined, "unrouted": q.Unrouted, "unconfirmed": q.Unconfirmed}
	}
	for _, name := range []string{"dead", "quarantined", "unrouted", "unconfirmed"} {
		item := navItem{Page: name, Href: name, Name: strings.ToUpper(name[:1]) + name[1:]}
		if n := counts[name]; n > 0 {
			item.Count, item.Tone = comma(n), warn
			if name == "dead" {
				item.Tone = bad
			}
		}
		items = append(items, item)
	}
	return items
}

// A tone is how much attention something needs. The style sheet gives each a colour; words say
// the same.
type tone string

const (
	good  tone = "good"
	quiet tone = "quiet"
	warn  tone = "warn"
	bad   tone = "bad"
)

// A moment is a time in the words that a page shows for it.
type moment struct {
	At   time.Time
	Text string
}

// at returns a time with its words, which may be "" for a time that is not known.
func at(t time.Time, text string) moment { return moment{t, text} }

// ago returns a time that has passed, such as "3 min ago".
func ago(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	if now.Sub(t) < time.Second {
		return moment{t, "just now"}
	}
	return moment{t, span(now.Sub(t)) + " ago"}
}

// Known reports whether the time is known.
func (m moment) Known() bool { return !m.At.IsZero() }

// Stamp returns the time for programs.
func (m moment) Stamp() string { return m.At.UTC().Format(time.RFC3339) }

// Exact returns the time in the time zone of the server.
func (m moment) Exact() string { return m.At.Local().Format("2006-01-02 15:04:05 MST") }

// Clock returns the time of the day in the time zone of the server.
func (m moment) Clock() string { return m.At.Local().Format("15:04:05") }

// Zone returns the time zone of the server.
func (m moment) Zone() string { return m.At.Local().Format("MST") }

// ahead returns the time of the day of a time that comes, with the day if that is not today.
func ahead(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04 MST")
	}
	return t.Format("Mon 2 Jan 15:04 MST")
}

// span returns a duration in its largest unit, rounded down.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < time.Minute:
		return comma(int64(d/time.Second)) + " s"
	case d < time.Hour:
		return comma(int64(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return comma(int64(d/time.Hour)) + " h"
	}
	return comma(int64(d/(24*time.Hour))) + " days"
}

// took returns a short duration.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "< 1 ms"
	case d < time.Second:
		return comma(d.Milliseconds()) + " ms"
	case d < time.Minute:
		return humanize.FtoaWithDigits(d.Seconds(), 1) + " s"
	}
	return span(d)
}

func comma(n int64) string { return humanize.Comma(n) }

// counted returns a number of things in words.
func counted(n int64, thing string) string { return wording.Counted(int(n), thing) }

// sentence returns a text with an upper-case first letter and a period.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimRight(text[n:], ".") + "."
}
