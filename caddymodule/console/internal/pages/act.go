package pages

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/console/internal/jobs"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// actTime is how long an action is waited for before its progress is shown.
const actTime = time.Second

// registry has the jobs of the process: they go on when a configuration is replaced.
var registry jobs.Registry

// A jobInfo is what the page of a job needs to know about it.
type jobInfo struct {
	Action string
	Back   string // where the visitor came from
	By     string // who started it
}

// An outcome is how a job has ended.
type outcome struct {
	Text  string
	Due   bool // whether deliveries are due now
	Notes []string
	Error string // "" if it did all
}

// A jobPage is the data of the page of a job.
type jobPage struct {
	jobInfo
	outcome
	Running bool
	Purges  bool
	Done    int64
	Total   int64 // 0 if it is not known
	Began   moment
	Took    string
}

// act performs what a preview has shown.
func (p *Pages) act(v *visit) (content, error) {
	s, err := v.selected()
	if err != nil {
		return content{}, err
	}
	if v.state.err != nil {
		return content{}, v.state.err
	}
	token, err := checkToken(v.PostForm, v.now)
	if err != nil {
		return content{}, err
	}
	by := audit.ActorOf(v.Request)
	by.By, by.User = v.by.From, v.by.Name
	o, g := p.operator, v.gateway
	back := s.back()
	if s.Action == purge && s.Group == nil {
		back = "events" // the event has gone
	}
	j, err := registry.Start(token, jobInfo{s.Action, back, v.by.Name}, func(ctx context.Context, report func(done, total int64)) any {
		defer forget()
		if s.Action == purge {
			return purged(ctx, o, g, s, report, by)
		}
		return replayed(ctx, o, g, s, report, by)
	})
	if errors.Is(err, jobs.ErrBusy) {
		return content{}, failure{http.StatusServiceUnavailable, "Too much is going on", sentence(err.Error()) + " Nothing was changed."}
	}
	if err != nil {
		return content{}, err
	}
	j.Wait(v.Context(), actTime)
	return content{redirect: link("job", "id", token)}, nil
}

// forget has all pages ask the gateway again, since something has changed.
func forget() {
	snapshots.Forget()
	searches.Forget()
}

func replayed(ctx context.Context, o operate.Operator, g *gateway.Gateway, s selection, report func(done, total int64), by audit.Actor) outcome {
	r := s.replay()
	r.Progress = report
	done, err := o.Replay(ctx, g, r, by)
	if err != nil {
		return outcome{Text: "The replay failed", Error: sentence(err.Error())}
	}
	out := outcome{Text: counted(int64(done.Replayed), "delivery") + " replayed", Due: done.Replayed > 0}
	if done == (admin.Replayed{}) {
		out.Notes = append(out.Notes, nothingLeft)
	}
	if done.WithoutPayload > 0 {
		out.Notes = append(out.Notes, counted(int64(done.WithoutPayload), "event")+" skipped: the payload is no longer kept.")
	}
	if done.Unrouted > 0 {
		out.Notes = append(out.Notes, counted(int64(done.Unrouted), "event")+" skipped: no upstream accepts the type.")
	}
	return out
}

func purged(ctx context.Context, o operate.Operator, g *gateway.Gateway, s selection, report func(done, total int64), by audit.Actor) outcome {
	u := s.purge()
	u.Progress = report
	done, err := o.Purge(ctx, g, u, by)
	if err != nil {
		return outcome{Text: "The purge failed", Error: sentence(err.Error())}
	}
	out := outcome{Text: counted(int64(done.Purged), "event") + " purged"}
	if s.Group != nil && s.Group.State == queue.Dead {
		out.Text = "Dead deliveries of " + out.Text // an event with others is still there
	}
	if done.Purged == 0 {
		out.Notes = append(out.Notes, nothingLeft)
	}
	return out
}

// nothingLeft is the note of a job that found nothing.
const nothingLeft = "Nothing of what the preview showed was left. It may have been replayed or purged since."

// job answers how far a job is.
func (p *Pages) job(v *visit) (content, error) {
	j := registry.Get(v.URL.Query().Get("id"))
	if j == nil {
		return content{}, failure{
			http.StatusNotFound, "This job is not known",
			"Its outcome is kept for 10 minutes, in the process that did it. The audit trail has what was done.",
		}
	}
	s := j.State()
	d := jobPage{Running: s.Running(), Done: s.Done, Total: s.Total, Began: ago(s.Began, v.now)}
	d.jobInfo, _ = j.About.(jobInfo)
	d.Purges = d.Action == purge
	title := "Replaying"
	if d.Purges {
		title = "Purging"
	}
	if !d.Running {
		d.outcome, _ = s.Outcome.(outcome)
		d.Took, title = took(s.Ended.Sub(s.Began)), d.Text
	}
	return content{template: "job", title: title, data: d, refresh: d.Running}, nil
}
