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
)

func main() {
	// SIGPIPE comes if the reader of the output ends first, such as head, and would end
	// the program before it has stopped the gateway.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	work := func() error { return run(ctx, os.Args[1:], os.Stdout) }
	if file := os.Getenv(openFileEnv); file != "" {
		work = func() error { return openOnly(file, os.Getenv(openKeyEnv)) }
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
			fmt.Fprintf(out, "%-12s %s\n", s.name, s.text)
		}
		return nil
	}
	binary, err := stage.Caddy(*caddy)
	if err != nil {
		return err
	}
	e := &env{binary: binary, log: os.Stderr, dir: *dir, large: *size == "large", soak: *soak}
	rows, err := runAll(ctx, e, chosen)
	if *markdown {
		printMarkdown(out, rows)
	} else {
		printText(out, rows)
	}
	return err
}

// choose returns the scenarios that -only names, or all that run by default.
func choose(all []scenario, only string) ([]scenario, error) {
	if only == "" {
		return slices.DeleteFunc(slices.Clone(all), func(s scenario) bool { return s.onlyNamed }), nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no scenario %q; -list prints the names", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// runAll runs scenarios one after the other, and returns their rows and all errors. The first line
// of an error is also in the note of a row.
func runAll(ctx context.Context, e *env, chosen []scenario) ([]result, error) {
	var rows []result
	var errs []error
	for _, s := range chosen {
		began := time.Now()
		e.logf("%s: %s", s.name, s.text)
		got, err := s.run(ctx, e)
		if err == nil && len(got) == 0 {
			err = errors.New("it returned no row")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			if !slices.ContainsFunc(got, func(r result) bool { return strings.Contains(r.note, "FAILED") }) {
				got = append(got, result{fault: s.name, note: "FAILED: " + firstLine(err)})
			}
		}
		for _, row := range got {
			if row.lost > 0 {
				errs = append(errs, fmt.Errorf("%s: %s: %d acknowledged events were lost", s.name, row.fault, row.lost))
			}
		}
		rows = append(rows, got...)
		e.logf("%s: %s", s.name, time.Since(began).Round(100*time.Millisecond))
	}
	return rows, errors.Join(errs...)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
