package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// A scene is what the steps are played on.
type scene struct {
	gateway  string // URL
	inbox    *inbox
	patience time.Duration               // how long an event may take to a backend
	idle     func(context.Context) error // returns when nothing is on its way
	out      printer
}

// play plays the steps in order and returns an error where anything did not go
// as it should. It prints all of it.
func (sc scene) play(ctx context.Context, steps []step) error {
	wrong := 0
	var ids []string
	var sent []target
	for i, s := range steps {
		sc.out.step(i+1, s)
		answer, err := sc.send(ctx, s)
		problem := ""
		if err != nil {
			problem = err.Error()
		} else {
			sc.out.answer(answer)
			problem = s.verdict(answer, ids)
		}
		if problem == "" {
			for _, upstream := range s.upstreams {
				sent = append(sent, target{upstream, answer.ID})
			}
			if answer.ID != "" {
				ids = append(ids, answer.ID)
			}
			problem = sc.arrive(ctx, s, answer.ID)
		}
		if problem != "" {
			wrong++
		}
		sc.out.verdict(problem)
	}

	// What should not have been sent can only be seen once nothing is on its way.
	if err := sc.idle(ctx); err != nil {
		sc.out.problem(err.Error())
		wrong++
	}
	problems := sc.inbox.check(sent)
	for _, problem := range problems {
		sc.out.problem(problem)
	}
	if wrong+len(problems) > 0 {
		return errors.New("the demonstration did not go as it should; what is wrong stands above")
	}
	sc.out.done(len(steps), len(sent))
	return nil
}

func (sc scene) send(ctx context.Context, s step) (sender.Answer, error) {
	request, err := s.sign(ctx, sc.gateway+s.path, s.body)
	if err != nil {
		return sender.Answer{}, err
	}
	sc.out.request(request)
	return sender.Send(request)
}

// arrive waits for a step's event at its backends and says what is wrong, or "".
func (sc scene) arrive(ctx context.Context, s step, id string) string {
	ctx, cancel := context.WithTimeoutCause(ctx, sc.patience, fmt.Errorf("it did not come within %s", sc.patience))
	defer cancel()
	if len(s.upstreams) == 0 {
		sc.out.nothing(s.status == http.StatusOK)
	}
	for _, upstream := range s.upstreams {
		d, format, err := sc.inbox.wait(ctx, target{upstream, id})
		if err != nil {
			return err.Error()
		}
		sc.out.event(upstream, format, d)
	}
	return ""
}
