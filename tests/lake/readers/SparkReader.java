import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDate;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.StructField;

/**
 * Answers questions about Iceberg tables by Spark, one JSON line for each line on the standard
 * input. The forms of both are in readers.ts.
 */
public final class SparkReader {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final HexFormat HEX = HexFormat.of();
  private static final Map<DataType, String> TYPES = Map.of(
      DataTypes.BooleanType, "boolean",
      DataTypes.IntegerType, "int",
      DataTypes.LongType, "long",
      DataTypes.DoubleType, "double",
      DataTypes.DateType, "date",
      DataTypes.TimestampType, "timestamptz",
      DataTypes.StringType, "string",
      DataTypes.BinaryType, "binary");

  private final SparkSession spark;
  private final Map<String, String> catalogs = new LinkedHashMap<>();

  private SparkReader(SparkSession spark) {
    this.spark = spark;
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(System.err);
    SparkSession spark = SparkSession.builder()
        .master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.datetime.java8API.enabled", "true")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", args[0])
        .config("spark.local.dir", args[0])
        .config("spark.hadoop.fs.s3.impl", "org.apache.hadoop.fs.s3a.S3AFileSystem")
        .config("spark.sql.extensions",
            "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        .getOrCreate();
    SparkReader reader = new SparkReader(spark);
    out.println("{\"ready\":true}");
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      JsonNode question = JSON.readTree(line);
      ObjectNode answer = JSON.createObjectNode();
      answer.set("id", question.get("id"));
      try {
        reader.answer(question, answer);
      } catch (Throwable error) {
        answer.put("error", error.toString());
      }
      out.println(JSON.writeValueAsString(answer));
    }
    spark.stop();
  }

  private void answer(JsonNode question, ObjectNode answer) {
    if (question.has("sql")) {
      for (JsonNode statement : question.get("sql")) {
        Dataset<Row> data = spark.sql(statement.asText().replace("{catalog}", catalog(question)));
        if (data.columns().length == 1 && !data.isEmpty()) {
          answer.put("value", String.valueOf(data.first().get(0)));
        }
      }
      return;
    }
    if (question.has("script")) {
      SparkSession session = spark.newSession();
      question.get("conf").fields()
          .forEachRemaining(each -> session.conf().set(each.getKey(), each.getValue().asText()));
      ArrayNode answers = answer.putArray("answers");
      for (JsonNode statement : question.get("script")) {
        rows(session.sql(statement.asText()), answers.addArray());
      }
      return;
    }
    JsonNode table = question.get("table");
    String source = catalog(question) + ".`" + table.get("namespace").asText() + "`.`"
        + table.get("name").asText() + "`";
    if (question.has("snapshotId")) {
      source += " VERSION AS OF " + Long.parseLong(question.get("snapshotId").asText());
    } else if (question.has("timestampMs")) {
      source += " TIMESTAMP AS OF timestamp_millis(" + question.get("timestampMs").asLong() + ")";
    }
    if (question.path("count").asBoolean()) {
      answer.put("count", spark.sql("SELECT count(*) FROM " + source).first().getLong(0));
      return;
    }
    Dataset<Row> data = spark.sql("SELECT * FROM " + source);
    ArrayNode columns = answer.putArray("columns");
    for (StructField field : data.schema().fields()) {
      columns.addArray().add(field.name()).add(typeOf(field.dataType()));
    }
    rows(data, answer.putArray("rows"));
  }

  private static void rows(Dataset<Row> data, ArrayNode rows) {
    for (Iterator<Row> all = data.toLocalIterator(); all.hasNext();) {
      Row row = all.next();
      ArrayNode values = rows.addArray();
      for (int at = 0; at < row.length(); at++) {
        Object value = row.get(at);
        if (value instanceof Boolean flag) {
          values.add(flag);
        } else {
          values.add(value == null ? null : textOf(value));
        }
      }
    }
  }

  private static String typeOf(DataType type) {
    if (type instanceof DecimalType decimal) {
      return "decimal(" + decimal.precision() + ", " + decimal.scale() + ")";
    }
    String name = TYPES.get(type);
    if (name == null) {
      throw new IllegalArgumentException("A column of type " + type);
    }
    return name;
  }

  private static String textOf(Object value) {
    if (value instanceof Double number) {
      return HEX.toHexDigits(Double.doubleToLongBits(number));
    }
    if (value instanceof BigDecimal decimal) {
      return decimal.toPlainString();
    }
    if (value instanceof LocalDate date) {
      return String.valueOf(date.toEpochDay());
    }
    if (value instanceof Instant moment) {
      long micros = Math.multiplyExact(moment.getEpochSecond(), 1_000_000L);
      return String.valueOf(Math.addExact(micros, moment.getNano() / 1_000));
    }
    if (value instanceof byte[] bytes) {
      return HEX.formatHex(bytes);
    }
    return value.toString();
  }

  /** The name of a catalog that has the table; its settings are made when it is first asked for. */
  private String catalog(JsonNode question) {
    JsonNode table = question.get("table");
    JsonNode s3 = question.get("s3");
    boolean files = table.get("kind").asText().equals("files");
    String place = table.get(files ? "warehouse" : "uri").asText();
    String key = place + " " + table.path("token").asText() + " " + s3;
    String known = catalogs.get(key);
    if (known != null) {
      return known;
    }
    String name = "catalog_" + catalogs.size();
    String prefix = "spark.sql.catalog." + name;
    spark.conf().set(prefix, "org.apache.iceberg.spark.SparkCatalog");
    spark.conf().set(prefix + ".cache-enabled", "false");
    spark.conf().set(prefix + ".type", files ? "hadoop" : "rest");
    spark.conf().set(prefix + (files ? ".warehouse" : ".uri"), place);
    if (table.has("token")) {
      spark.conf().set(prefix + ".token", table.get("token").asText());
    }
    if (s3 != null && files) {
      String hadoop = prefix + ".hadoop.fs.s3a.";
      spark.conf().set(prefix + ".hadoop.fs.s3.impl.disable.cache", "true");
      spark.conf().set(hadoop + "endpoint", s3.get("endpoint").asText());
      spark.conf().set(hadoop + "endpoint.region", s3.get("region").asText());
      spark.conf().set(hadoop + "access.key", s3.get("accessKeyId").asText());
      spark.conf().set(hadoop + "secret.key", s3.get("secretAccessKey").asText());
      spark.conf().set(hadoop + "path.style.access", "true");
    } else if (s3 != null) {
      spark.conf().set(prefix + ".io-impl", "org.apache.iceberg.aws.s3.S3FileIO");
      spark.conf().set(prefix + ".s3.endpoint", s3.get("endpoint").asText());
      spark.conf().set(prefix + ".s3.access-key-id", s3.get("accessKeyId").asText());
      spark.conf().set(prefix + ".s3.secret-access-key", s3.get("secretAccessKey").asText());
      spark.conf().set(prefix + ".s3.path-style-access", "true");
      spark.conf().set(prefix + ".client.region", s3.get("region").asText());
    }
    catalogs.put(key, name);
    return name;
  }
}
