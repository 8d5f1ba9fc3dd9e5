package figures

import "testing"

func TestQuantile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	tests := map[string]struct {
		values []int
		q      float64
		want   int
	}{
		"nothing":           {nil, 0.5, 0},
		"one":               {[]int{7}, 0.99, 7},
		"half of two":       {[]int{1, 2}, 0.5, 1},
		"half of three":     {[]int{1, 2, 3}, 0.5, 2},
		"p99 of a hundred":  {hundred, 0.99, 99},
		"p100 of a hundred": {hundred, 1, 100},
		"the lowest":        {hundred, 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := quantile(tt.values, tt.q); got != tt.want {
				t.Errorf("quantile() = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values []float64
		want   Spread
	}{
		"nothing": {nil, Spread{}},
		"one":     {[]float64{3}, Spread{1, 3, 3, 3}},
		"even":    {[]float64{4, 1, 2, 3}, Spread{4, 2.5, 1, 4}},
		"odd":     {[]float64{9, 1, 2}, Spread{3, 2, 1, 9}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := SpreadOf(tt.values); got != tt.want {
				t.Errorf("SpreadOf() = %+v, want %+v", got, tt.want)
			}
		})
	}
}
