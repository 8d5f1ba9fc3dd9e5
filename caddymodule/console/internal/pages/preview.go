package pages

import (
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/console/internal/jobs"
)

// A previewPage is the data of the page that says what an action would do.
type previewPage struct {
	Danger    bool
	Nothing   bool // whether there is nothing to do
	Cause     explained
	Lines     []string
	Upstreams []upstreamCount
	Newest    moment
	Oldest    moment
	AtLeast   bool
	Rows      []row
	More      string // how many are not shown
	Fields    []hidden
	Do        string // the label of the button
	Cancel    string // where to go back
}

// An upstreamCount is the number of deliveries to an upstream.
type upstreamCount struct {
	Name  string
	Count string
}

// selected returns the selection in the request, of a visitor that may act.
func (v *visit) selected() (selection, error) {
	if !v.by.Acts {
		return selection{}, failure{http.StatusForbidden, "The console is read only", "Nothing was changed. The configuration of the console has read_only, which takes replay and purge away."}
	}
	if v.Method == http.MethodPost {
		return readSelection(v.PostForm)
	}
	return readSelection(v.URL.Query())
}

// preview answers what an action would do. It changes nothing.
func (p *Pages) preview(v *visit) (content, error) {
	s, err := v.selected()
	if err != nil {
		return content{}, err
	}
	if v.state.err != nil {
		return content{}, v.state.err
	}
	t, err := tallyOf(v.Context(), v.gateway, s)
	if err != nil {
		return content{}, err
	}
	d := previewPage{
		Danger: s.Action == purge, AtLeast: t.AtLeast, Rows: rows(t.First, v.now), Newest: ago(t.Newest, v.now), Oldest: ago(t.Oldest, v.now), Cancel: s.back(),
	}
	for _, name := range slices.Sorted(maps.Keys(t.Upstreams)) {
		d.Upstreams = append(d.Upstreams, upstreamCount{name, t.say(t.Upstreams[name], "delivery", "deliveries")})
	}
	if n := t.Events - len(t.First); n > 0 {
		d.More = t.say(n, "more event", "more events")
	}
	if s.Group != nil && s.Group.Cause != nil && t.Events > 0 { // otherwise the text may be that of a forged link
		d.Cause = explain(s.Group.State, *s.Group.Cause)
	}
	var title string
	if s.Action == purge {
		title = d.purge(t)
		s.Force = t.Waiting > 0
	} else {
		title = d.replay(t)
	}
	d.Fields = append(s.fields(), hidden{"token", newToken(v.now)})
	return content{template: "preview", title: title, data: d, still: true}, nil
}

// say returns a sentence about one thing or about n of them, of a tally that may not be complete.
func (t tally) say(n int, one, many string) string {
	text := comma(int64(n)) + " " + many
	if n == 1 {
		text = "1 " + one
	}
	if t.AtLeast {
		text = "at least " + text
	}
	return text
}

// replay describes a replay.
func (d *previewPage) replay(t tally) (title string) {
	what := t.say(t.Deliveries, "delivery", "deliveries")
	if t.Deliveries > 0 {
		d.Lines = append(d.Lines, sentence(what+" of "+t.say(t.Events, "event", "events")+" will be due at once, with all attempts anew"))
	}
	d.skipped(t.NoPayload, t.say(t.NoPayload, "event is skipped, since its payload is no longer kept", "events are skipped, since their payloads are no longer kept"))
	d.skipped(t.NoRoute, t.say(t.NoRoute, "event is skipped, since no upstream accepts it: correct the configuration first", "events are skipped, since no upstream accepts them: correct the configuration first"))
	d.skipped(t.NoUpstream, t.say(t.NoUpstream, "delivery is skipped, since its upstream is no longer configured", "deliveries are skipped, since their upstreams are no longer configured"))
	d.Do = "Replay " + what
	if d.Nothing = t.Deliveries == 0; d.Nothing {
		return "There is nothing to replay"
	}
	return d.Do + "?"
}

// skipped adds a sentence about n things, unless there are none.
func (d *previewPage) skipped(n int, text string) {
	if n > 0 {
		d.Lines = append(d.Lines, sentence(text))
	}
}

// purge describes a purge.
func (d *previewPage) purge(t tally) (title string) {
	if d.Nothing = t.Events == 0; d.Nothing {
		return "There is nothing to delete"
	}
	what := t.say(t.Events, "event", "events")
	if rest := t.Events - t.Whole; rest > 0 {
		what = "the dead deliveries of " + what
		d.Lines = append(d.Lines, sentence(t.say(rest, "event stays, with its other deliveries", "events stay, with their other deliveries")))
	}
	if t.Whole > 0 {
		d.Lines = append(d.Lines, sentence(t.say(t.Whole, "event is deleted, with its payload and its trace", "events are deleted, with their payloads and their traces"))+" If the same event is received again, it is new.")
	}
	if t.Waiting > 0 {
		d.Lines = append(d.Lines, sentence(t.say(t.Waiting, "event still waits for an upstream, which then never gets it", "events still wait for an upstream, which then never gets them")))
	}
	d.Lines = append(d.Lines, "This cannot be undone.")
	d.Do = "Delete " + what + " for good"
	return d.Do + "?"
}

// back returns where a visitor came from to select.
func (s selection) back() string {
	switch {
	case s.Group != nil:
		return string(s.Group.State)
	case len(s.IDs) == 1:
		return link("event", "id", s.IDs[0])
	}
	return "events"
}

// newToken returns the name of the job that a form starts. It has the time at which the form was
// made.
func newToken(now time.Time) string { return strconv.FormatInt(now.Unix(), 36) + "." + rand.Text() }

// checkToken returns an error unless a form with the token can still start a job: the outcome of
// an earlier one with it is still known.
func checkToken(q url.Values, now time.Time) (string, error) {
	token := q.Get("token")
	stamp, random, _ := strings.Cut(token, ".")
	made, err := strconv.ParseInt(stamp, 36, 64)
	if err != nil || len(random) < len(rand.Text()) || len(token) > 64 {
		return "", failure{http.StatusBadRequest, "The form is not valid", "Nothing was changed. Go back, load the page again, and use its buttons."}
	}
	if age := now.Sub(time.Unix(made, 0)); age > jobs.Keep-time.Minute || age < -time.Minute {
		return "", failure{http.StatusConflict, "The preview is too old", "Nothing was changed. What it showed may have changed since: go back, load the page again, and look at it before you confirm."}
	}
	return token, nil
}
