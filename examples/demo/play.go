package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
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
		if err == nil {
			err = s.check(answer, ids)
		}
		if err == nil {
			ids = append(ids, answer.ID)
			for _, upstream := range s.upstreams {
				sent = append(sent, target{upstream, answer.ID})
			}
			err = sc.arrive(ctx, s, answer.ID)
		}
		if err != nil {
			wrong++
		}
		sc.out.verdict(err)
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
	answer, err := sender.Send(request)
	if err == nil {
		sc.out.answer(answer)
	}
	return answer, err
}

// arrive waits for a step's event at its backends.
func (sc scene) arrive(ctx context.Context, s step, id string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sc.patience, fmt.Errorf("it did not come within %s", sc.patience))
	defer cancel()
	if len(s.upstreams) == 0 {
		sc.out.nothing(s.status == http.StatusOK)
		return nil
	}
	var d receive.Delivery
	for _, upstream := range s.upstreams {
		var format string
		var err error
		if d, format, err = sc.inbox.wait(ctx, target{upstream, id}); err != nil {
			return err
		}
		sc.out.event(upstream, format, d)
	}
	sc.out.data(d)
	return nil
}
