# The local endpoint from the official Python client (pip install openai). It reads OPENAI_BASE_URL and OPENAI_API_KEY:
# what serve.ts, or `zeph serve`, has printed. Nothing else changes.
from openai import OpenAI
from pydantic import BaseModel

client = OpenAI()
model = "gpt-4o"  # an alias; any id of client.models.list() works too

print([each.id for each in client.models.list()])

answer = client.chat.completions.create(
    model=model,
    messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count to 5. ✓"}],
    temperature=0.2,
    max_tokens=64,
)
print(answer.choices[0].message.content)

stream = client.chat.completions.create(
    model=model,
    messages=[{"role": "user", "content": "Count to 3."}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
print()

tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
]
question = {"role": "user", "content": "What is the weather in Oslo?"}
asked = client.chat.completions.create(model=model, messages=[question], tools=tools, parallel_tool_calls=False)
call = asked.choices[0].message.tool_calls[0]
result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
told = client.chat.completions.create(
    model=model, messages=[question, asked.choices[0].message, result], tools=tools
)
print(told.choices[0].message.content)


class City(BaseModel):
    name: str
    country: str


parsed = client.chat.completions.parse(
    model=model, messages=[{"role": "user", "content": "Name a city."}], response_format=City
)
print(parsed.choices[0].message.parsed)

embeddings = client.embeddings.create(
    model=next(each.id for each in client.models.list() if "embed" in each.id), input=["one", "two"]
)
print(len(embeddings.data))
