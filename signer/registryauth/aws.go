// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
)

// ecrHost is a private registry of Amazon ECR: account, FIPS, region.
var ecrHost = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(-fips)?\.([a-z]{2}[a-z0-9-]{1,30}-[0-9])\.(amazonaws\.com|amazonaws\.com\.cn|on\.aws|on\.amazonwebservices\.com\.cn)$`)

// AWS is a Source of tokens of Amazon ECR, which live for twelve hours, for
// whoever AWS says that this process is: variables, web identity (IRSA),
// container credentials (ECS, EKS pod identity) or the instance's role. Shared
// configuration files are not read: they can name programs to run.
type AWS struct {
	account, region string
	fips            bool

	mu     sync.Mutex // guards client
	client *ecr.Client
}

// NewAWS makes the source for a host, which must be a private ECR registry.
func NewAWS(host string) (*AWS, error) {
	m := ecrHost.FindStringSubmatch(host)
	if m == nil {
		return nil, fmt.Errorf("%s is not a private registry of Amazon ECR (hint: ACCOUNT.dkr.ecr.REGION.amazonaws.com)", host)
	}
	return &AWS{account: m[1], fips: m[2] != "", region: m[3]}, nil
}

// Credentials implements Source.
func (a *AWS) Credentials(ctx context.Context) (authn.AuthConfig, time.Time, error) {
	cfg, end, err := a.ask(ctx)
	if err != nil {
		err = fmt.Errorf("ask Amazon ECR in %s for a token of registry %s: %w (hint: the service's role needs ecr:GetAuthorizationToken, and rights to pull and push there)", a.region, a.account, because(err))
	}
	return cfg, end, err
}

func (a *AWS) ask(ctx context.Context) (authn.AuthConfig, time.Time, error) {
	client, err := a.connect(ctx)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, err
	}
	answer, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, err
	}
	if len(answer.AuthorizationData) != 1 {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("the answer has %d tokens, not one", len(answer.AuthorizationData))
	}
	data := answer.AuthorizationData[0]
	decoded, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok || password == "" || data.ExpiresAt == nil {
		return authn.AuthConfig{}, time.Time{}, errors.New("the answer has no usable token")
	}
	return authn.AuthConfig{Username: user, Password: password}, *data.ExpiresAt, nil
}

func (a *AWS) connect(ctx context.Context) (*ecr.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(a.region),
		config.WithSharedConfigFiles([]string{}),
		config.WithSharedCredentialsFiles([]string{}),
	}
	if a.fips {
		options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	a.client = ecr.NewFromConfig(cfg)
	return a.client, nil
}
