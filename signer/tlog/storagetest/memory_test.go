// SPDX-License-Identifier: Apache-2.0

package storagetest_test

import (
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, func(*testing.T) tlog.Storage { return storagetest.NewMemory() }, nil)
}
