// The mission's gauge in Go, a buffered channel of tokens, timed: it prints nanoseconds a call of Process.
package main

import (
	"errors"
	"fmt"
	"sort"
	"time"
)

type PressureGauge struct {
	ch chan struct{}
}

func New(limit int) *PressureGauge {
	return &PressureGauge{ch: make(chan struct{}, limit)}
}

func (pg *PressureGauge) Process(f func()) error {
	select {
	case pg.ch <- struct{}{}:
		f()
		<-pg.ch
		return nil
	default:
		return errors.New("no more capacity")
	}
}

func main() {
	const rounds, calls = 8, 1_000_000
	pg := New(10)
	sum := 0
	times := make([]float64, rounds)
	for round := range times {
		start := time.Now()
		for i := 0; i < calls; i++ {
			if pg.Process(func() { sum++ }) != nil {
				panic("refused")
			}
		}
		times[round] = float64(time.Since(start).Nanoseconds()) / calls
	}
	sort.Float64s(times)
	if sum != rounds*calls {
		panic("lost calls")
	}
	fmt.Printf("%.3f\n", (times[rounds/2-1]+times[rounds/2])/2)
}
