// SES v2 by the AWS SDK for Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	ctx := context.Background()
	settings := must(config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1")))
	ses := sesv2.NewFromConfig(settings, func(o *sesv2.Options) { o.BaseEndpoint = aws.String(os.Getenv("ENDPOINT")) })
	must(ses.CreateEmailIdentity(ctx, &sesv2.CreateEmailIdentityInput{EmailIdentity: aws.String("go.example")}))
	_, err := ses.CreateEmailIdentity(ctx, &sesv2.CreateEmailIdentityInput{EmailIdentity: aws.String("go.example")})
	var exists *types.AlreadyExistsException
	if !errors.As(err, &exists) {
		must(0, fmt.Errorf("AlreadyExistsException was expected: %v", err))
	}
	account := must(ses.GetAccount(ctx, &sesv2.GetAccountInput{}))
	if account.SendQuota == nil || account.SendQuota.MaxSendRate <= 0 {
		must(0, errors.New("no quota"))
	}
	sent := must(ses.SendEmail(ctx, &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("a@go.example"),
		Destination:      &types.Destination{ToAddresses: []string{"simple@go.rcpt.example"}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: aws.String("Hello")},
			Body:    &types.Body{Text: &types.Content{Data: aws.String("Hello")}},
		}},
		EmailTags: []types.MessageTag{{Name: aws.String("campaign"), Value: aws.String("spring")}},
	}))
	if len(*sent.MessageId) != 60 {
		must(0, errors.New(*sent.MessageId))
	}
	fmt.Println(`["simple@go.rcpt.example"]`)
}
