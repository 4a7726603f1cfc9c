package postgres_test

import (
	"os"
	"os/exec"
	"testing"
	"time"
	"fmt"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store"
)

func BenchmarkZZ(b *testing.B) {
	pg := pglab.Start(b)
	for range b.N {
		first, cfg := create(b, pg)
		dbs := []store.Database{first}
		if os.Getenv("ZZ") == "3" {
			dbs = append(dbs, open(b, cfg), open(b, cfg))
		}
		f := newFleet(b, "x", dbs...)
		f.closedLoop(5000, 64, &latencies{})
		cmd := exec.Command("perf", "record", "-q", "-a", "-F", "999", "-o", "/root/scratch/perf"+os.Getenv("ZZ")+".data", "sleep", "4")
		cmd.Start()
		lat := &latencies{}
		t0 := time.Now()
		r := f.closedLoop(30000, 64, lat)
		fmt.Println(r, lat, time.Since(t0))
		cmd.Wait()
	}
}
