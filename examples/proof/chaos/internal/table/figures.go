package table

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// Milliseconds formats a duration in milliseconds.
func Milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

// Mebibytes formats a number of bytes in MiB.
func Mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// Thousands formats a count with commas.
func Thousands(n int) string { return humanize.Comma(int64(n)) }
