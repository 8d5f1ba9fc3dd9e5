package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/power"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

func main() {
	// SIGPIPE comes if the reader of the output ends first, such as head, and would end
	// the program before it has stopped the gateway.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	work := func() error { return run(ctx, os.Args[1:], os.Stdout) }
	if open := power.Opening(); open != nil {
		work = open
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}

// run runs the scenarios that args select and prints the table.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	caddy := flags.String("caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	size := flags.String("size", "small", "small or large")
	only := flags.String("only", "", "`names` of the scenarios to run, with commas between them")
	dir := flags.String("dir", "", "`directory` for the queues; default: the system's temporary directory")
	soak := flags.Duration("soak", time.Hour, "duration of the scenario soak")
	markdown := flags.Bool("markdown", false, "print the table as Markdown")
	list := flags.Bool("list", false, "list the scenarios and exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; choose scenarios with -only", flags.Arg(0))
	}
	if *size != "small" && *size != "large" {
		return fmt.Errorf("-size is %q; it must be small or large", *size)
	}
	chosen, err := choose(scenarios, *only)
	if err != nil {
		return err
	}
	if *list {
		for _, s := range scenarios {
			fmt.Fprintf(out, "%-12s %s\n", s.Name, s.Text)
		}
		return nil
	}
	binary, err := stage.Caddy(*caddy)
	if err != nil {
		return err
	}
	e := &scenario.Env{Binary: binary, Log: os.Stderr, Dir: *dir, Large: *size == "large", Soak: *soak}
	rows, err := runAll(ctx, e, chosen)
	if *markdown {
		table.PrintMarkdown(out, rows)
	} else {
		table.Print(out, rows)
	}
	return err
}

// choose returns the scenarios that -only names, or all that run by default.
func choose(all []scenario.Scenario, only string) ([]scenario.Scenario, error) {
	if only == "" {
		return slices.DeleteFunc(slices.Clone(all), func(s scenario.Scenario) bool { return s.OnlyNamed }), nil
	}
	var chosen []scenario.Scenario
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s scenario.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no scenario %q; -list prints the names", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// runAll runs scenarios one after the other, and returns their rows and all errors. The first line
// of an error is also in the note of a row.
func runAll(ctx context.Context, e *scenario.Env, chosen []scenario.Scenario) ([]table.Row, error) {
	var rows []table.Row
	var errs []error
	for _, s := range chosen {
		began := time.Now()
		e.Logf("%s: %s", s.Name, s.Text)
		got, err := s.Run(ctx, e)
		if err == nil && len(got) == 0 {
			err = errors.New("it returned no row")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
			if !slices.ContainsFunc(got, func(r table.Row) bool { return strings.Contains(r.Note, "FAILED") }) {
				got = append(got, table.Row{Fault: s.Name, Note: table.Failed(err)})
			}
		}
		for _, row := range got {
			if row.Lost > 0 {
				errs = append(errs, fmt.Errorf("%s: %s: %d acknowledged events were lost", s.Name, row.Fault, row.Lost))
			}
		}
		rows = append(rows, got...)
		e.Logf("%s: %s", s.Name, time.Since(began).Round(100*time.Millisecond))
	}
	return rows, errors.Join(errs...)
}
