// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"fmt"
	"sync"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// poolPages is how many pages all connections of this process keep in memory
// together, 12 MiB. SQLite takes the page that was used least lately from
// whichever connection has it, so that the writer has what readers do not need.
//
// Without the pool every page is an allocation of its own, of 8 KiB and a header,
// for which the allocator takes 16 KiB and touches twelve.
const poolPages = 1400

var pool struct {
	once sync.Once
	err  error
}

// usePool has SQLite keep pages in memory of the pool. It is for the whole
// process and comes before the first connection.
func usePool() error {
	pool.once.Do(func() { pool.err = makePool(poolPages) })
	return pool.err
}

func makePool(pages int) error {
	tls := libc.NewTLS()
	defer tls.Close()
	// What SQLite keeps beside each page depends on its version.
	header := libc.Xcalloc(tls, 1, 8)
	defer libc.Xfree(tls, header)
	if err := configure(tls, sqlite3.SQLITE_CONFIG_PCACHE_HDRSZ, header); err != nil {
		return err
	}
	size := pageBytes + int(libc.AtomicLoadPInt32(header))
	memory := libc.Xmalloc(tls, libc.Tsize_t(size*pages)) //nolint:gosec // both are small; never given back
	if memory == 0 {
		return fmt.Errorf("no memory for %d pages of SQLite", pages)
	}
	return configure(tls, sqlite3.SQLITE_CONFIG_PAGECACHE, memory, int32(size), int32(pages)) //nolint:gosec // both are small
}

// configure calls sqlite3_config, whose arguments are those of C.
func configure(tls *libc.TLS, option int32, args ...any) error {
	list := libc.NewVaList(args...)
	defer libc.Xfree(tls, list)
	if code := sqlite3.Xsqlite3_config(tls, option, list); code != sqlite3.SQLITE_OK {
		return fmt.Errorf("configure SQLite: code %d", code)
	}
	return nil
}
