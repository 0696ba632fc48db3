/** The script as a whole chat answer. */
export function completionOf({ reasoning, text, calls = [], finish, usage, stopReason }) {
    return {
        id: "chatcmpl-1",
        model: "m",
        choices: [
            {
                index: 0,
                message: {
                    content: text ?? null,
                    reasoning_content: reasoning,
                    tool_calls: calls.map(({ id, name, arguments: input }) => ({ id, function: { name, arguments: input } })),
                },
                finish_reason: finish ?? (calls.length > 0 ? "tool_calls" : "stop"),
                stop_reason: stopReason,
            },
        ],
        usage,
    };
}
/** The script as chunks, its texts cut by `cut`. */
export function chunksOf(script, cut = (text) => [...text]) {
    const { reasoning = "", text = "", calls = [], finish, usage, stopReason } = script;
    const chunk = (delta, finishReason = null) => ({
        id: "chatcmpl-1",
        model: "m",
        choices: [{ index: 0, delta, finish_reason: finishReason, stop_reason: finishReason === null ? null : stopReason }],
    });
    const call = (index, piece) => chunk({ tool_calls: [{ index, ...piece }] });
    return [
        ...cut(reasoning).map((piece) => chunk({ reasoning_content: piece })),
        ...cut(text).map((piece) => chunk({ content: piece })),
        ...calls.flatMap(({ id, name, arguments: input }, index) => [
            call(index, { id, function: { name, arguments: "" } }),
            ...cut(input).map((piece) => call(index, { function: { arguments: piece } })),
        ]),
        chunk({}, finish ?? (calls.length > 0 ? "tool_calls" : "stop")),
        ...(usage === undefined ? [] : [{ id: "chatcmpl-1", model: "m", choices: [], usage }]),
    ];
}
/** A clock that stands still, and ids that count. */
export function countingStamps() {
    let count = 0;
    return {
        nowMs: () => 1_764_288_000_000,
        newId() {
            count += 1;
            return `t${count}`;
        },
    };
}
