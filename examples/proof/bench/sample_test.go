package main

import "testing"

func TestShow(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		showRate(36_000.4): "36,000/s", showRate(0): "0/s",
		showSeconds(2): "2.00 s", showSeconds(0.5): "500 ms", showSeconds(0.0123): "12.3 ms", showSeconds(0.00234): "2.34 ms", showSeconds(0.0000567): "56.7 µs",
		showBytes(512): "512 B", showBytes(7017): "7,017 B", showBytes(20 << 10): "20.0 KiB", showBytes(3 << 20): "3.0 MiB", showBytes(-3 << 20): "-3.0 MiB",
		showMore(64 << 20): "+64.0 MiB", showMore(-1 << 20): "-1.0 MiB", showRatio(0.345): "0.34", showBody(1500): "1.5 kB",
		shortCount(0): "0", shortCount(200): "200", shortCount(20_000): "20k", shortCount(20_001): "20,001", shortCount(1_000_000): "1,000,000",
		thousands(-1234): "-1,234", thousands(999): "999",
		showMarginal(65e-6): "+65.00 µs", showMarginal(-23e-9): "-23.000 ns",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSampleSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	if got := (sample{rate: 10, p50: 0.002}).String(); got != "rate 10/s, p50 2.00 ms" {
		t.Errorf("String() = %q", got)
	}
}
