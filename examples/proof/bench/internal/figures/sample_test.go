package figures

import "testing"

func TestShow(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		ShowRate(36_000.4): "36,000/s", ShowRate(0): "0/s",
		ShowSeconds(2): "2.00 s", ShowSeconds(0.5): "500 ms", ShowSeconds(0.0123): "12.3 ms", ShowSeconds(0.00234): "2.34 ms", ShowSeconds(0.0000567): "56.7 µs",
		ShowBytes(512): "512 B", ShowBytes(7017): "7,017 B", ShowBytes(20 << 10): "20.0 KiB", ShowBytes(3 << 20): "3.0 MiB", ShowBytes(-3 << 20): "-3.0 MiB",
		ShowMore(64 << 20): "+64.0 MiB", ShowMore(-1 << 20): "-1.0 MiB", ShowRatio(0.345): "0.34",
		ShortCount(0): "0", ShortCount(200): "200", ShortCount(20_000): "20k", ShortCount(20_001): "20,001", ShortCount(1_000_000): "1,000,000",
		Thousands(-1234): "-1,234", Thousands(999): "999",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSampleSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	if got := (Sample{Rate: 10, P50: 0.002}).String(); got != "rate 10/s, p50 2.00 ms" {
		t.Errorf("String() = %q", got)
	}
}
